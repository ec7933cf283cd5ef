import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.component import Context
from pluto_lightning.config import ConstantConfig, OneCycleConfig, WarmupCosineConfig
from pluto_lightning.schedules import make_constant, make_onecycle, make_warmup_cosine, warmup_cosine_factor

PUBLISHED = (
    "0.333333 0.666667 1 1 0.994916 0.979767 0.954861 0.920706 0.877997 0.827603 0.770550 0.708000 0.641225 0.571586 0.500500 "
    "0.429414 0.359775 0.293000 0.230450 0.173397 0.123003 0.080294 0.046139 0.021233 0.006084"
)
"""Thousandths, epoch by epoch, of the training specification (25 epochs, 3 of warm-up, peak 1e-3, floor 1e-6)."""


def rates(maker, *, epochs, steps_per_epoch, lrs=(1e-3,), optimizer=torch.optim.SGD):
    """Return the learning rates (step, group) of a whole training that steps the scheduler when it says."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    stepped = optimizer(groups, lr=lrs[0])
    schedule, interval = maker(stepped, epochs=epochs, steps_per_epoch=steps_per_epoch)
    seen = []
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            stepped.step()
            seen.append([group["lr"] for group in stepped.param_groups])
            if interval == "step":
                schedule.step()
        if interval == "epoch":
            schedule.step()
    return seen


def test_warmup_cosine_per_epoch_is_the_published_table():
    """25 epochs give the specification's 25 rates, each held for every step of its epoch."""
    maker = make_warmup_cosine(WarmupCosineConfig(), Context())
    seen = rates(maker, epochs=25, steps_per_epoch=3)
    expected = [1e-3 * float(share) for share in PUBLISHED.split()]
    assert [rate for (rate,) in seen[::3]] == pytest.approx(expected, abs=5e-10)
    assert seen[::3] == seen[1::3] == seen[2::3]


@pytest.mark.parametrize(("epochs", "warmup", "steps"), [(25, 3, 4), (5, 0, 7), (4, 4, 3), (2, 5, 3)])
def test_warmup_cosine_per_step_is_the_formula_in_steps(epochs, warmup, steps):
    """The specification's formula holds with steps in place of epochs; no warm-up, or nothing else, divides by nothing."""
    maker = make_warmup_cosine(WarmupCosineConfig(warmup_epochs=warmup, lr_min=1e-5, interval="step"), Context())
    seen = [rate for (rate,) in rates(maker, epochs=epochs, steps_per_epoch=steps)]
    total, rising = epochs * steps, warmup * steps
    expected = [
        1e-3 * (now + 1) / rising
        if now < rising
        else 1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + math.cos(math.pi * (now - rising) / (total - rising)))
        for now in range(total)
    ]
    assert seen == pytest.approx(expected, rel=1e-9)


def test_every_group_keeps_its_own_peak_and_shares_the_floor():
    """Groups of different rates rise to their own and aim at the same least rate."""
    maker = make_warmup_cosine(WarmupCosineConfig(warmup_epochs=1, lr_min=1e-4), Context())
    seen = rates(maker, epochs=50, steps_per_epoch=1, lrs=(1e-2, 1e-3))
    assert seen[1] == pytest.approx([1e-2, 1e-3])
    assert seen[-1] == pytest.approx([1e-4, 1e-4], rel=0.2)


@given(
    total=st.integers(1, 200),
    warmup=st.integers(0, 200),
    floor=st.floats(0, 1),
    now=st.integers(0, 400),
)
def test_the_factor_stays_between_nothing_and_the_peak(total, warmup, floor, now):
    """Whatever the lengths, also after the end: at most one, and after the warm-up never below the floor."""
    share = warmup_cosine_factor(now, total, warmup, floor)
    assert 0 <= share <= 1 + 1e-12
    assert now < warmup or share >= floor - 1e-12


def test_constant_changes_nothing():
    """Every step has the optimizer's own rate."""
    seen = rates(make_constant(ConstantConfig(), Context()), epochs=3, steps_per_epoch=2, lrs=(0.5, 0.1))
    assert seen == [[0.5, 0.1]] * 6


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_onecycle_rises_once_and_falls_once(anneal):
    """It begins at peak / div_factor, reaches the peak after its share of all steps, ends at begin / final_div_factor."""
    config = OneCycleConfig(rising=0.25, div_factor=10, final_div_factor=100, anneal=anneal)
    seen = [
        rate for (rate,) in rates(make_onecycle(config, Context()), epochs=4, steps_per_epoch=10, optimizer=torch.optim.AdamW)
    ]
    assert seen[0] == pytest.approx(1e-4)
    assert max(seen) == seen[9] == pytest.approx(1e-3)
    assert seen[-1] == pytest.approx(1e-6)
    assert seen[:10] == sorted(seen[:10])
    assert seen[9:] == sorted(seen[9:], reverse=True)


def test_onecycle_moves_momentum_against_the_rate():
    """AdamW's first beta is least at the peak; switched off, or without momentum, it stays."""

    def betas(config, optimizer):
        schedule, interval = make_onecycle(config, Context())(optimizer, epochs=1, steps_per_epoch=8)
        assert interval == "step"
        seen = []
        for _ in range(8):
            optimizer.step()
            seen.append(optimizer.param_groups[0].get("betas", (None,))[0])
            schedule.step()
        return seen

    def parameters():
        return [torch.nn.Parameter(torch.zeros(1))]

    moved = betas(OneCycleConfig(), torch.optim.AdamW(parameters(), lr=1e-3))
    assert min(moved) == moved[1] == pytest.approx(0.85)
    assert moved[0] == pytest.approx(0.95)
    assert betas(OneCycleConfig(cycle_momentum=False), torch.optim.AdamW(parameters(), lr=1e-3)) == [0.9] * 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert betas(OneCycleConfig(), torch.optim.Adagrad(parameters(), lr=1e-3)) == [None] * 8


def test_onecycle_may_be_stepped_exactly_as_often_as_there_are_steps(fit):
    """A whole training, also with accumulated batches, ends without torch's error of too many steps."""
    result, _ = fit(settings={"accumulate": 3, "epochs": 3}, make_schedule=lambda: make_onecycle(OneCycleConfig(), Context()))
    assert result.numbers["epochs"] == 3
