import io
import random

import numpy as np
import torch

from pluto_lightning.randomness import RandomState, captured, restore, seed_all


def draws():
    return torch.rand(3).tolist(), np.random.random(3).tolist(), random.getrandbits(60), random.gauss(0, 1)


def test_one_seed_seeds_every_global_generator():
    """Equal seeds, also those beyond 32 bits, give equal draws of torch, numpy and Python; other seeds others."""
    found = {}
    for seed in (3, 3, 2**40 + 3, 4):
        seed_all(seed)
        drawn = draws()
        assert found.setdefault(seed, drawn) == drawn
    assert len({str(drawn) for drawn in found.values()}) == 3


def test_a_state_survives_a_safe_file():
    """Saved and loaded with weights_only, the state gives what would have been drawn, numpy's spare normal number too."""
    seed_all(1)
    np.random.standard_normal()
    file = io.BytesIO()
    torch.save(captured(), file)
    expected = draws(), np.random.standard_normal()
    seed_all(2)
    file.seek(0)
    restore(torch.load(file, weights_only=True))
    assert (draws(), np.random.standard_normal()) == expected


def test_the_callback_restores_when_training_starts_and_only_once(world):
    """States of a checkpoint wait until training starts; each rank takes its own, a new rank none."""

    class Rank:
        def __init__(self, number):
            self.global_rank = number

    seed_all(1)
    saved = RandomState().state_dict()
    assert len(saved["ranks"]) == 1
    expected = draws()
    callback = RandomState()
    callback.load_state_dict(saved)
    seed_all(2)
    before = draws()
    seed_all(2)
    assert draws() == before
    callback.on_train_start(Rank(0), None)
    assert draws() == expected
    seed_all(2)
    callback.on_train_start(Rank(0), None)
    assert draws() == before
    callback.load_state_dict(saved)
    seed_all(2)
    callback.on_train_start(Rank(1), None)
    assert draws() == before
