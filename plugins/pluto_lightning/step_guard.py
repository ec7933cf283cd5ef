"""What becomes of a step whose loss or gradient is no number: it ends training, or is left out."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from pluto_core.errors import PlutoError


@attrs.define(kw_only=True, eq=False)
class StepGuard:
    """Keeps what is no number away from the weights, and remembers which scenarios gave it.

    Steps are left out by all ranks or by none: their gradients have been averaged when they are judged, so that what is no
    number on one rank is none on every other.
    """

    skips: bool
    """Whether such a step is left out; else it is a mistake."""
    most: int
    """Steps that may be left out."""
    strict: bool
    """Whether a gradient that is no number counts; arithmetic that scales the loss meets them now and then, and leaves out
    those steps by itself."""
    note: Callable[[str], None]
    skipped: list[dict[str, Any]] = attrs.field(factory=list)
    """Epoch, step, cause and scenarios of each step that was left out, as plain values."""
    _seen: list[str] = attrs.field(init=False, factory=list)
    _spoilt: list[str] = attrs.field(init=False, factory=list)
    _before: list[tuple[Tensor, Tensor]] = attrs.field(init=False, factory=list)

    def begin(self, model: nn.Module) -> None:
        """Remember before a step what forward passes change in a model: means and variances of its norms."""
        if self.skips and not self._seen:
            self._before = [(buffer, buffer.clone()) for buffer in model.buffers()]

    def accepts(self, loss: Tensor, keys: Sequence[str], *, epoch: int, step: int) -> bool:
        """Return whether the loss of a batch is a number.

        Raises:
            PlutoError: It is none, and steps are not to be left out.
        """
        self._seen += keys
        if torch.isfinite(loss):
            return True
        if not self.skips:
            raise PlutoError(_text("the loss", keys, epoch, step))
        self._spoilt += keys
        return False

    def allows(self, norm: Tensor, *, epoch: int, step: int) -> bool:
        """Return whether the gradients of a step, whose norm this is, may change the weights; else the model is as before it.

        Raises:
            PlutoError: They are no numbers, and steps are not to be left out, or too many were.
        """
        seen, spoilt = self._seen, self._spoilt
        self._seen, self._spoilt = [], []
        if not (self.strict or self.skips) or torch.isfinite(norm):
            return True
        if self.skips:
            seen, spoilt = _of_all_ranks(seen, spoilt)
        if not self.strict and not spoilt:
            return True
        what, keys = ("the loss", spoilt) if spoilt else ("a gradient", seen)
        text = _text(what, keys, epoch, step)
        if not self.skips:
            raise PlutoError(text)
        if len(self.skipped) == self.most:
            raise PlutoError(f"{text}; {self.most} steps were skipped before, as many as trainer.max_skipped_steps allows")
        self.skipped.append({"epoch": epoch, "step": step, "what": what, "scenarios": keys})
        for buffer, before in self._before:
            buffer.copy_(before)
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            self.note(f"skipped: {text}")
        return False


def _text(what: str, keys: Sequence[str], epoch: int, step: int) -> str:
    return f"{what} became NaN or infinite in epoch {epoch}, step {step}; the scenarios of its batch: {', '.join(keys)}"


def _of_all_ranks(seen: list[str], spoilt: list[str]) -> tuple[list[str], list[str]]:
    if not torch.distributed.is_initialized():
        return seen, spoilt
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, (seen, spoilt))
    return [key for one, _ in found for key in one], [key for _, one in found for key in one]
