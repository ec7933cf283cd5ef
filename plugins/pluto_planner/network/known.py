"""Leaving out rows of which nothing is known."""

from collections.abc import Callable

import torch
from torch import Tensor


def on_known_rows(encode: Callable[..., Tensor], known: Tensor, *inputs: Tensor) -> Tensor:
    """Return the encoding (Q, D) of rows where `known` (Q,), and zero elsewhere.

    Eager code on the CPU encodes the known rows only; elsewhere all rows are encoded, since selecting rows would
    stop the device for their number and break a compiled graph.

    Args:
        encode: Maps inputs (Q, ...) to (Q, D), row by row but for statistics, in which unknown rows do not count.
        known: Boolean.
        inputs: What `encode` takes; any finite number where a row is not known.
    """
    if known.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.where(known[:, None], encode(*inputs), 0.0)
    rows = known.nonzero()[:, 0]
    out = encode(*(x[rows] for x in inputs))
    return out.new_zeros(known.shape[0], out.shape[1]).index_copy(0, rows, out)
