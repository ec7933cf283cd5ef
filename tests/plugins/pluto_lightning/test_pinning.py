"""Memory that is locked for a GPU, without one: what is locked when, and that it is let go of."""

import gc

import numpy as np
import pytest
import torch

from pluto_core.jobs import SampleBatch
from pluto_lightning.batches import EpochBatches, as_tensors
from pluto_lightning.pinning import LockedBuffers, cuda_lock, cuda_unlock


class System:
    """Stands in for CUDA's runtime: remembers what is locked; refuses what is smaller than asked for."""

    def __init__(self, least=0):
        self.least, self.locked, self.calls = least, {}, 0

    def lock(self, address, nbytes):
        """Remember."""
        self.calls += 1
        if nbytes < self.least:
            return False
        assert address not in self.locked
        self.locked[address] = nbytes
        return True

    def unlock(self, address):
        """Forget."""
        del self.locked[address]


def views(buffer):
    """Return arrays of a batch, as views of views."""
    inner = buffer[64:]
    return {"a": inner[:64].view(np.float32).reshape(2, 8), "b": inner[128:192]}


def test_a_buffer_is_locked_once_and_let_go_of_when_it_is_freed():
    """Many batches in the same slots lock each once; one that is replaced by a larger one is unlocked before it is freed."""
    system = System()
    locked = LockedBuffers(system.lock, system.unlock)
    slots = [np.zeros(4096, np.uint8) for _ in range(3)]
    for turn in range(9):
        locked.add(views(slots[turn % 3]).values())
    assert system.locked == {slot.ctypes.data: 4096 for slot in slots}
    assert system.calls == 3
    slots[0] = np.zeros(1 << 20, np.uint8)
    gc.collect()
    assert len(system.locked) == 2
    locked.add(views(slots[0]).values())
    assert system.locked[slots[0].ctypes.data] == 1 << 20
    del slots
    gc.collect()
    assert not system.locked


def test_what_the_system_refuses_is_not_unlocked():
    """A refusal is no error, is not asked again for the same memory, and nothing is undone in the end."""
    system = System(least=10**9)
    locked = LockedBuffers(system.lock, system.unlock)
    slot = np.zeros(4096, np.uint8)
    for _ in range(3):
        locked.add(views(slot).values())
    assert (system.calls, system.locked) == (1, {})
    del slot
    gc.collect()


class Event:
    """Stands in for a copy on its way."""

    def __init__(self, name, done):
        self.name, self.done = name, done

    def synchronize(self):
        """Say that it was waited for."""
        self.done.append(self.name)


def test_a_slot_is_not_filled_again_before_its_copy_has_arrived():
    """Before a batch is made, the copies of the one before the last have arrived: its memory comes later still."""
    done, made = [], []

    class Source:
        batch_size, sample_spec = 2, {}

        def count(self, *, world=1):
            return 6 // world

        def batches(self, _epoch, **_where):
            for number in range(6):
                made.append((number, list(done)))
                yield SampleBatch(arrays=views(np.zeros(4096, np.uint8)), ids=())

    for number, batch in enumerate(EpochBatches(Source(), lambda: 0, rank=lambda: 0, world=1)):
        batch.copies.append(Event(number, done))
    assert made == [(number, list(range(number - 1))) for number in range(6)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_reach_a_gpu_through_locked_memory():
    """With a GPU the loader's memory is locked, the values arrive, and a new value in the slot does not change them."""
    buffer = np.zeros(1 << 20, np.uint8)
    batch = as_tensors(SampleBatch(arrays=views(buffer), ids=()))
    batch.arrays["a"][:] = 3.0
    moved = batch.to(torch.device("cuda"))
    assert batch.tensors["a"].is_pinned()
    batch.arrived()
    batch.arrays["a"][:] = 4.0
    assert (moved.tensors["a"].cpu() == 3.0).all()
    other = np.zeros(1 << 16, np.uint8)
    assert cuda_lock(other.ctypes.data, other.nbytes)
    assert not cuda_lock(other.ctypes.data, other.nbytes)
    assert torch.ones(3, device="cuda").sum() == 3
    cuda_unlock(other.ctypes.data)
