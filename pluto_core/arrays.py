"""What each array of a sample is: dims, dtype, unit, frame, padding, form on disk.

From these specs follow the stored layout, the check of every sample, the collated batch and the documentation. The
module imports no numpy, so that `pluto check` and `pluto plugins show` can use it.
"""

import enum
from collections.abc import Iterable, Mapping

import attrs

from pluto_core.errors import PlutoError


class ArrayClass(str, enum.Enum):
    """How an array compresses; the cache's profile maps each class to a codec."""

    FEATURE = "feature"
    """Coordinates, headings, masks: nearly incompressible, read every epoch."""
    RASTER = "raster"
    """Images and distance fields: large and smooth."""


_DTYPES = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
)


def _known_dtype(_spec: object, _attribute: object, value: str) -> None:
    if value not in _DTYPES:
        message = f"dtype {value!r} is none of {', '.join(sorted(_DTYPES))}"
        raise PlutoError(message)


@attrs.frozen(kw_only=True)
class ArraySpec:
    """One array of a sample."""

    dims: tuple[int | str, ...]
    """A number is a fixed size and is stacked; a name (`agent`, `polygon`) is a free size that every array of the sample with
    that name shares, and is padded in a batch."""
    dtype: str = attrs.field(validator=_known_dtype)
    """dtype that builders return and models receive."""
    at_rest: str | None = attrs.field(default=None, validator=attrs.validators.optional(_known_dtype))
    """dtype on disk where it is narrower than `dtype`."""
    array_class: ArrayClass = ArrayClass.FEATURE
    unit: str = ""
    """SI unit (`m`, `rad`, `m/s`), or the meaning of codes."""
    frame: str = ""
    """`ego` (rear axle at time zero, x forward, y left), `global`, or empty where it has none."""
    pad: float = 0.0
    """Value of the cells that padding adds."""
    batch: bool = True
    """Whether the array becomes part of a batch; others are stored and read by augmentations only."""
    optional: bool = False
    """Whether a sample may lack the array."""
    summary: str = ""

    @property
    def stored_dtype(self) -> str:
        """Return the dtype on disk."""
        return self.at_rest or self.dtype

    @property
    def free_dims(self) -> tuple[str, ...]:
        """Return the names of the dims whose size differs between samples."""
        return tuple(dim for dim in self.dims if isinstance(dim, str))

    def describe_dims(self) -> str:
        """Return the dims as text, such as `agent x 101 x 2`."""
        return " x ".join(str(dim) for dim in self.dims) or "scalar"


SampleSpec = Mapping[str, ArraySpec]
"""Spec of every array of a sample, by key; parts of a key are joined by `/` (`agent/position`)."""


def join(specs: Iterable[tuple[str, SampleSpec]]) -> dict[str, ArraySpec]:
    """Return the spec of a sample that several builders fill.

    Args:
        specs: Builder name and its spec, in order.

    Raises:
        PlutoError: Two builders give the same key.
    """
    joined: dict[str, ArraySpec] = {}
    owner: dict[str, str] = {}
    for builder, spec in specs:
        for key, array in spec.items():
            if key in joined:
                message = f"builders {owner[key]!r} and {builder!r} both give the array {key!r}; leave one of them out"
                raise PlutoError(message)
            joined[key] = array
            owner[key] = builder
    return joined


def to_plain(spec: SampleSpec) -> dict[str, dict[str, object]]:
    """Return the spec as plain values, for manifests and JSON."""
    return {
        key: {
            "dims": list(array.dims),
            "dtype": array.dtype,
            "at_rest": array.at_rest,
            "array_class": array.array_class.value,
            "unit": array.unit,
            "frame": array.frame,
            "pad": array.pad,
            "batch": array.batch,
            "optional": array.optional,
        }
        for key, array in sorted(spec.items())
    }


def from_plain(plain: Mapping[str, Mapping[str, object]]) -> dict[str, ArraySpec]:
    """Return the spec that `to_plain` wrote; the summaries are not kept.

    Raises:
        PlutoError: A dtype or class in it is unknown.
    """
    specs: dict[str, ArraySpec] = {}
    for key, fields in plain.items():
        values = dict(fields)
        try:
            dims: tuple[int | str, ...] = tuple(values.pop("dims"))  # type: ignore[arg-type]
            array_class = ArrayClass(values.pop("array_class"))
            specs[key] = ArraySpec(dims=dims, array_class=array_class, **values)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            message = f"the stored spec of {key!r} cannot be read: {error}"
            raise PlutoError(message) from None
    return specs
