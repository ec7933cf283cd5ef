"""A sample as the reference stack stores it: a gzip-compressed pickle of nested dictionaries, float64 but for rasters."""

import gzip
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pluto_core.arrays import ArraySpec
from pluto_core.samples import Sample, nested

Spec = Mapping[str, ArraySpec]
Tree = dict[str, Any]


def widened(sample: Sample, spec: Spec) -> Tree:
    """Return a sample in the reference's types."""

    def wide(key: str, array: Any) -> Any:
        raster = np.dtype(spec[key].at_rest or spec[key].dtype) == np.float16
        return array.astype(np.float16 if raster else np.float64) if np.issubdtype(array.dtype, np.floating) else array

    return nested({key: wide(key, np.asarray(array)) for key, array in sample.items()})


def pickled(path: Path, sample: Sample, spec: Spec) -> Path:
    """Write a sample in the reference's form."""
    path.write_bytes(gzip.compress(pickle.dumps(widened(sample, spec)), 1))
    return path
