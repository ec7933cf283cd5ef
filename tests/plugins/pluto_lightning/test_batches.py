import numpy as np
import pytest
import torch

from pluto_core.jobs import SampleBatch
from pluto_core.scene import ScenarioId
from pluto_lightning.batches import EpochBatches, as_tensors, truth_of

IDS = (ScenarioId("log", "a", 0), ScenarioId("log", "b", 1))


def batch(rows=2, roles=("anchor",)):
    """Return a batch whose arrays are views into one buffer."""
    ring = np.zeros(4096, np.uint8)
    return SampleBatch(
        arrays={
            "agent/position": ring[:192].view(np.float32).reshape(rows, -1, 2),
            "origin": ring[256 : 256 + 24 * rows].view(np.float64).reshape(rows, 3),
            "truth/trajectory": ring[1024 : 1024 + 48 * rows].view(np.float32).reshape(rows, 4, 3),
            "truth/valid": ring[2048 : 2048 + 4 * rows].view(bool).reshape(rows, 4),
        },
        ids=IDS,
        roles=roles,
    )


def test_tensors_are_the_loaders_memory():
    """What is written into the slot is seen by the tensor and the other way round: nothing is copied."""
    arrays = batch()
    made = as_tensors(arrays)
    position = made.tensors["agent"]["position"]
    arrays.arrays["agent/position"][1, 2, 0] = 7.0
    assert position[1, 2, 0] == 7.0
    position[0, 0, 1] = 5.0
    assert arrays.arrays["agent/position"][0, 0, 1] == 5.0
    assert position.data_ptr() == arrays.arrays["agent/position"].ctypes.data


def test_dtypes_stay_and_keys_nest():
    """float64 origins stay float64, masks are bool, `a/b` becomes `[a][b]`."""
    made = as_tensors(batch()).tensors
    assert made["origin"].dtype == torch.float64
    assert made["agent"]["position"].dtype == torch.float32
    assert made["truth"]["valid"].dtype == torch.bool


def test_rows_count_variants_and_size_counts_scenarios():
    """Three roles of two scenarios are six rows."""
    made = as_tensors(batch(rows=6, roles=("anchor", "positive", "negative")))
    assert (made.rows, made.size) == (6, 2)


def test_truth_is_of_the_anchors_and_a_copy():
    """Truth has a row a scenario, in float64, and does not change with the slot."""
    arrays = batch(rows=6, roles=("anchor", "positive", "negative"))
    arrays.arrays["truth/trajectory"][:] = 1.0
    truth = truth_of(as_tensors(arrays))
    arrays.arrays["truth/trajectory"][:] = 9.0
    arrays.arrays["truth/valid"][:] = True
    assert truth.trajectory.shape == (2, 4, 3)
    assert truth.trajectory.dtype == np.float64
    assert (truth.trajectory == 1.0).all()
    assert not truth.valid.any()


def test_moving_a_batch_keeps_its_names():
    """On another device the batch has the same keys, shapes and ids."""
    made = as_tensors(batch())
    moved = made.to(torch.device("meta"))
    assert moved.ids == made.ids
    assert moved.tensors["agent"]["position"].device.type == "meta"
    assert moved.tensors["agent"]["position"].shape == made.tensors["agent"]["position"].shape


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2)])
def test_epoch_and_rank_are_asked_for_when_an_iteration_begins(rank, world):
    """The same object gives the batches of whatever epoch is due, and of its rank alone."""

    class Source:
        batch_size, sample_spec = 2, {}

        def count(self, *, world=1):
            return 6 // world

        def batches(self, epoch, *, rank=0, world=1, skip=0):
            asked.append((epoch, rank, world, skip))
            yield batch()

    asked, epoch = [], 0
    batches = EpochBatches(Source(), lambda: epoch, rank=lambda: rank, world=world)
    assert len(batches) == 6 // world
    list(batches)
    epoch = 5
    assert next(iter(batches)).ids == IDS
    assert asked == [(0, rank, world, 0), (5, rank, world, 0)]
    batches.load_state_dict({"position": 1})
    next(iter(batches))
    assert asked[-1] == (5, rank, world, 1)
    assert batches.state_dict() == {"position": 2}
    list(batches)
    assert asked[-1] == (5, rank, world, 0)
