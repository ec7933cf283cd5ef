"""Makers of schedules, each with one defect."""

import sys

from broken_parts import caught_by, components
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from pluto_core import hookimpl


class _Maker:
    def __init__(self, *_):
        pass


@caught_by("test_rates_of_a_whole_training")
class Plunging(_Maker):
    """Falls below zero."""

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return rates that become negative."""
        return LambdaLR(optimizer, lambda now: 1.0 - now), "step"


@caught_by("test_rates_of_a_whole_training")
class Soaring(_Maker):
    """Rises above the optimizer's rate."""

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return rates that grow."""
        return LambdaLR(optimizer, lambda now: 1.0 + now), "step"


@caught_by("test_rates_of_a_whole_training")
class Short(_Maker):
    """Counts epochs where it is stepped by step."""

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return a schedule that ends too early."""
        return OneCycleLR(optimizer, max_lr=0.01, total_steps=epochs + 1), "step"


@caught_by("test_says_when_to_step")
class Vague(_Maker):
    """Does not say when to step."""

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return another word."""
        return LambdaLR(optimizer, lambda _now: 1.0), "sometimes"


@caught_by("test_same_again")
class Tired(_Maker):
    """Slows down from training to training."""

    trainings = 0

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return a lower rate every time."""
        self.trainings += 1
        return LambdaLR(optimizer, lambda _now, factor=1 / self.trainings: factor), "epoch"


@caught_by("test_goes_on_from_its_state")
class Absent(_Maker):
    """Counts outside its state."""

    def __call__(self, optimizer, *, epochs, steps_per_epoch):
        """Return a schedule that begins anew."""
        calls = iter(range(1, 1000))
        return LambdaLR(optimizer, lambda _now: 1 / next(calls)), "step"


@hookimpl
def pluto_register_schedules():
    """Return all of them."""
    return components(sys.modules[__name__])
