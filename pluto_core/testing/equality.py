"""Where two results differ: arrays, mappings and attrs objects, compared to the last bit."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.maps import MapView


def difference(first: Any, second: Any) -> str | None:
    """Return where two values differ first, in words; None where they are equal (NaN equals NaN)."""
    return next(_differences("value", first, second), None)


def assert_same(first: Any, second: Any) -> None:
    """Fail where two values differ, saying where they differ first.

    Raises:
        AssertionError: They differ.
    """
    __tracebackhide__ = True
    found = difference(first, second)
    if found is not None:
        raise AssertionError(found)


def freeze(sample: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return copies of arrays that refuse to be written to, as those that come from a cache do."""
    copies = {key: np.array(array) for key, array in sample.items()}
    for copy in copies.values():
        copy.setflags(write=False)
    return copies


def _differences(place: str, first: Any, second: Any) -> Iterator[str]:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        yield from _of_arrays(place, first, second)
    elif type(first) is not type(second):
        yield f"{place} is {type(first).__name__} and {type(second).__name__}"
    elif isinstance(first, MapView):
        shown = [
            {name: getattr(view, name) for name in ("name", "lanes", "blocks", "areas", "extent")} for view in (first, second)
        ]
        yield from _of_mappings(place, *shown)
    elif attrs.has(type(first)):
        yield from _of_mappings(place, attrs.asdict(first, recurse=False), attrs.asdict(second, recurse=False))
    elif isinstance(first, Mapping):
        yield from _of_mappings(place, first, second)
    elif isinstance(first, Sequence) and not isinstance(first, str | bytes):
        yield from _of_mappings(place, dict(enumerate(first)), dict(enumerate(second)))
    elif first != second and not (first != first and second != second):  # noqa: PLR0124 -- NaN
        yield f"{place} is {first!r} and {second!r}"


def _of_mappings(place: str, first: Mapping[Any, Any], second: Mapping[Any, Any]) -> Iterator[str]:
    lone = sorted(map(str, first.keys() ^ second.keys()))
    if lone:
        yield f"{place} has {', '.join(lone)} on one side only"
    for key in first.keys() & second.keys():
        yield from _differences(f"{place}.{key}", first[key], second[key])


def _of_arrays(place: str, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Iterator[str]:
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        yield f"{place} is {first.dtype}{first.shape} and {second.dtype}{second.shape}"
    elif not np.array_equal(first, second, equal_nan=first.dtype.kind in "fc"):
        yield f"{place} differs in {int(np.count_nonzero(first != second))} of {first.size} cells"
