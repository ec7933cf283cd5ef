"""Batches of the loader as tensors."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from pluto_core.jobs import SampleBatch
from pluto_core.plan import Truth
from pluto_core.protocols import BatchSource
from pluto_core.samples import nested
from pluto_core.scene import ScenarioId
from pluto_lightning.pinning import LockedBuffers


@attrs.frozen(eq=False)
class TensorBatch:
    """One batch as nested tensors that share the loader's memory; moved to another device they are copies."""

    tensors: Mapping[str, Any]
    """`tensors["agent"]["position"]`."""
    ids: tuple[ScenarioId, ...]
    rows: int
    """Rows of the batch, variants included."""
    arrays: Mapping[str, npt.NDArray[Any]] = attrs.field(factory=dict)
    """The loader's arrays that it shares memory with."""
    copies: list[torch.cuda.Event] = attrs.field(factory=list)
    """Copies of it that may be on their way to a GPU."""

    @property
    def size(self) -> int:
        """Return the number of scenarios."""
        return len(self.ids)

    def to(self, device: torch.device) -> "TensorBatch":
        """Return the batch on a device; see `arrived`."""
        on_gpu = device.type == "cuda"
        if on_gpu:
            _locked.add(self.arrays.values())
        moved = attrs.evolve(self, tensors=_moved(self.tensors, device, beside=on_gpu), arrays={}, copies=[])
        if on_gpu:
            self.copies.append(torch.cuda.current_stream(device).record_event())
        return moved

    def arrived(self) -> None:
        """Wait until no GPU reads the loader's memory any more."""
        while self.copies:
            self.copies.pop().synchronize()


def as_tensors(batch: SampleBatch) -> TensorBatch:
    """Return a batch of the loader as tensors, without a copy; float64 origins stay float64."""
    flat = {key: torch.from_numpy(np.asarray(array)) for key, array in batch.arrays.items()}
    return TensorBatch(nested(flat), batch.ids, batch.size * len(batch.roles), batch.arrays)


def truth_of(batch: TensorBatch) -> Truth:
    """Return what happened, copied out of the loader's memory."""
    told = batch.tensors["truth"]
    return Truth(
        trajectory=told["trajectory"][: batch.size].cpu().double().numpy().copy(),
        valid=told["valid"][: batch.size].cpu().numpy().copy(),
    )


class EpochBatches:
    """The batches of a part as something that Lightning can iterate over, again and again."""

    def __init__(self, source: BatchSource, epoch: Callable[[], int], *, rank: Callable[[], int], world: int) -> None:
        """Ask for the epoch and the rank when an iteration starts, not before."""
        self._source, self._epoch, self._rank, self._world = source, epoch, rank, world
        self._skip = self._position = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch on this rank."""
        return self._source.count(world=self._world)

    def __iter__(self) -> Iterator[TensorBatch]:
        """Yield the batches of the epoch that is due, after an interruption those that were not done."""
        self._position, self._skip = self._skip, 0
        before: TensorBatch | None = None
        for batch in self._source.batches(self._epoch(), rank=self._rank(), world=self._world, skip=self._position):
            self._position += 1
            made = as_tensors(batch)
            yield made
            if before is not None:  # long moved; its memory is used again two batches on at the earliest
                before.arrived()
            before = made

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch are done; a whole epoch counts as none of the next."""
        return {"position": self._position % max(len(self), 1)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Begin the next iteration where another process stopped."""
        self._skip = int(state_dict["position"])


_locked = LockedBuffers()


def _moved(tree: Mapping[str, Any], device: torch.device, *, beside: bool) -> dict[str, Any]:
    return {
        key: _moved(value, device, beside=beside) if isinstance(value, Mapping) else value.to(device, non_blocking=beside)
        for key, value in tree.items()
    }
