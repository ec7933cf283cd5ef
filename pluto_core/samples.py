"""Samples: what builders return, and the proof that they are what their spec says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import Reason, SampleError

Array = npt.NDArray[Any]
Sample = dict[str, Array]
"""Arrays of one scenario by key (`agent/position`)."""


_EXPONENT = np.uint16(0x7C00)
"""Bits of a float16's exponent; all set: NaN or infinite."""


def check(sample: Mapping[str, Array], spec: SampleSpec, *, dtypes: bool = True) -> None:
    """Prove that a sample is what its spec says: keys, dims, dtypes, finite numbers.

    Args:
        sample: Arrays by key.
        spec: What they should be.
        dtypes: Whether dtypes must agree; off for values read back with a narrower dtype.

    Raises:
        SampleError: With `SPEC_MISMATCH` or `NOT_FINITE`, naming key and finding.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for key, array_spec in spec.items():
        if key not in sample:
            if array_spec.optional:
                continue
            raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} is missing")
        _check_array(key, sample[key], array_spec, sizes, dtypes=dtypes)
    unknown = sorted(sample.keys() - spec.keys())
    if unknown:
        raise SampleError(Reason.SPEC_MISMATCH, f"arrays {', '.join(unknown)} are not in the spec")


def _check_array(key: str, array: Array, spec: ArraySpec, sizes: dict[str, tuple[int, str]], *, dtypes: bool) -> None:
    if array.ndim != len(spec.dims):
        detail = f"array {key!r} has shape {array.shape}, its dims are {spec.describe_dims()}"
        raise SampleError(Reason.SPEC_MISMATCH, detail)
    for axis, (size, dim) in enumerate(zip(array.shape, spec.dims, strict=True)):
        wanted, source = (dim, "its spec") if isinstance(dim, int) else sizes.setdefault(dim, (size, repr(key)))
        if size != wanted:
            detail = f"array {key!r} has {size} on axis {axis} ({dim}), but {source} says {wanted}"
            raise SampleError(Reason.SPEC_MISMATCH, detail)
    if dtypes and array.dtype.name != spec.dtype:
        raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} is {array.dtype.name}, its spec says {spec.dtype}")
    if array.dtype.kind == "f" and not _is_finite(array):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise SampleError(Reason.NOT_FINITE, f"array {key!r} holds {bad} numbers that are NaN or infinite")


def _is_finite(array: Array) -> bool:
    if array.dtype == np.float16 and array.flags.c_contiguous:  # numpy widens each number; the exponent's bits say as much
        return bool((array.view(np.uint16) & _EXPONENT != _EXPONENT).all())
    return bool(np.isfinite(array).all())


def nested(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by nested keys: `{"agent/position": a}` becomes `{"agent": {"position": a}}`."""
    tree: dict[str, Any] = {}
    for key, value in sample.items():
        *parents, leaf = key.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
