"""Samples as the nested tensors that models are given, and what tests do with such trees."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pluto_core.arrays import SampleSpec
from pluto_core.pipeline.layout import ANCHOR, Layout
from pluto_core.samples import Sample, nested

Tree = Mapping[str, Any]


def collate(samples: Sequence[Sample], spec: SampleSpec) -> dict[str, Any]:
    """Return samples as one batch, padded as their spec says: `batch["agent"]["position"]`."""
    arranged = Layout(spec).arrange({ANCHOR: samples})
    arrays = arranged.fill(np.zeros(arranged.nbytes, np.uint8))
    return nested({key: torch.from_numpy(array) for key, array in arrays.items()})


def leaves(tree: Tree, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of a tree by flat key; what is no tensor is left out."""
    flat: dict[str, Tensor] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= leaves(value, f"{prefix}{key}/")
        elif isinstance(value, Tensor):
            flat[f"{prefix}{key}"] = value
    return flat


def mapped(tree: Tree, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Return a tree with every tensor changed."""
    return {
        key: mapped(value, change) if isinstance(value, Mapping) else change(value) if isinstance(value, Tensor) else value
        for key, value in tree.items()
    }


def taken(tree: Tree, rows: Sequence[int], count: int) -> dict[str, Any]:
    """Return some rows, in this order, of every tensor of a tree that has `count` rows."""
    picked = list(rows)
    return mapped(tree, lambda value: value[picked] if value.ndim and len(value) == count else value)


def restricted(batch: Tree, keys: Sequence[str]) -> dict[str, Any]:
    """Return the tensors of a batch that flat keys name."""
    return nested({key: value for key, value in leaves(batch).items() if key in keys})


def arrays_of(tree: Tree) -> dict[str, Any]:
    """Return copies of a tree's tensors as numpy arrays, to be compared to the last bit."""
    return {key: value.detach().cpu().numpy().copy() for key, value in leaves(tree).items()}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the same numbers inside, and leave torch's own chance as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
