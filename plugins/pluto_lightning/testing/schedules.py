"""`ScheduleSuite`: the learning rate stays a rate for the whole training, and goes on from a stored state."""

from typing import Any, ClassVar

import pytest
import torch

from pluto_core.protocols import ScheduleMaker
from pluto_core.testing.components import ComponentSuite
from pluto_lightning.testing.collation import seeded
from pluto_lightning.testing.optimizers import make_network, stored

LENGTHS = ((1, 1), (1, 5), (3, 4), (20, 3))
"""Epochs, and steps in each."""
_WHEN = ("step", "epoch")
_PEAK = 0.01


class ScheduleSuite(ComponentSuite, suite=True):
    """Tests of what makes learning-rate schedules."""

    kinds: ClassVar[tuple[str, ...]] = ("schedules",)
    subject: ClassVar[str] = "maker"
    rises_above: ClassVar[bool] = False
    """Whether the rate may become larger than the optimizer's own."""

    @pytest.fixture
    def maker(self, request: pytest.FixtureRequest) -> ScheduleMaker:
        """Return the maker."""
        made: ScheduleMaker = self.make(request)
        return made

    @pytest.mark.parametrize(("epochs", "steps"), LENGTHS)
    def test_rates_of_a_whole_training(self, maker: ScheduleMaker, epochs: int, steps: int) -> None:
        """Every step of short and long trainings has a finite rate, never below zero and not always zero."""
        rates = _rates(maker, epochs, steps)
        assert len(rates) == epochs * steps
        assert all(0 <= rate < float("inf") for step in rates for rate in step)
        highest = max(rate for step in rates for rate in step)
        assert highest > 0
        assert self.rises_above or highest <= _PEAK * (1 + 1e-6), f"the rate rises to {highest:.4g}, the optimizer says {_PEAK}"

    def test_says_when_to_step(self, maker: ScheduleMaker) -> None:
        """It gives a torch scheduler, and `step` or `epoch`."""
        schedule, when = maker(_optimizer(), epochs=2, steps_per_epoch=3)
        assert when in _WHEN
        assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler | torch.optim.lr_scheduler.ReduceLROnPlateau)

    def test_same_again(self, maker: ScheduleMaker) -> None:
        """It remembers nothing between trainings."""
        first = _rates(maker, 3, 4)
        _rates(maker, 5, 2)
        assert _rates(maker, 3, 4) == first

    def test_goes_on_from_its_state(self, maker: ScheduleMaker) -> None:
        """With the stored states, read without running any code, it goes on as an undisturbed one would."""
        epochs, steps, done = 4, 3, 2
        optimizer = _optimizer()
        schedule, when = maker(optimizer, epochs=epochs, steps_per_epoch=steps)
        _walk(optimizer, schedule, when, done, steps)
        states = stored({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()})
        other = _optimizer()
        fresh, when = maker(other, epochs=epochs, steps_per_epoch=steps)
        other.load_state_dict(states["optimizer"])
        fresh.load_state_dict(states["schedule"])
        assert _walk(other, fresh, when, epochs - done, steps) == _rates(maker, epochs, steps)[done * steps :]


def _optimizer() -> torch.optim.Optimizer:
    with seeded(0):
        first, *others = make_network().parameters()
    groups: list[dict[str, Any]] = [{"params": [first], "weight_decay": 0.0}, {"params": others}]
    return torch.optim.AdamW(groups, lr=_PEAK)


def _rates(maker: ScheduleMaker, epochs: int, steps: int) -> list[tuple[float, ...]]:
    optimizer = _optimizer()
    schedule, when = maker(optimizer, epochs=epochs, steps_per_epoch=steps)
    return _walk(optimizer, schedule, when, epochs, steps)


def _walk(optimizer: torch.optim.Optimizer, schedule: Any, when: str, epochs: int, steps: int) -> list[tuple[float, ...]]:
    """Return the rates of each step of some epochs."""
    rates = []
    for _ in range(epochs):
        for _ in range(steps):
            rates.append(tuple(float(group["lr"]) for group in optimizer.param_groups))
            optimizer.step()
            if when == "step":
                schedule.step()
        if when == "epoch":
            schedule.step()
    return rates
