"""How the learning rate changes."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from pluto_core.component import Context
from pluto_lightning.config import ConstantConfig, OneCycleConfig, WarmupCosineConfig


def warmup_cosine_factor(now: float, total: float, warmup: float, floor: float) -> float:
    """Return the share of the peak learning rate (the PLUTO recipe, arXiv 2404.14327, section IV).

    Args:
        now: Epochs (or steps) done.
        total: Epochs (or steps) of the whole training.
        warmup: Epochs (or steps) of the linear warm-up; the first of them already runs at `1 / warmup`.
        floor: Share of the peak that the cosine aims at.
    """
    if now < warmup:
        return min((now + 1) / warmup, 1.0)
    if total <= warmup:
        return 1.0
    progress = min((now - warmup) / (total - warmup), 1.0)
    return floor + 0.5 * (1.0 - floor) * (1.0 + math.cos(math.pi * progress))


class WarmupCosine:
    """Linear warm-up, then half a cosine, per epoch (as published) or per step."""

    def __init__(self, config: WarmupCosineConfig) -> None:
        """Keep the settings."""
        self._config = config

    def __call__(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> tuple[LambdaLR, str]:
        """Return the scheduler and when to step it."""
        unit = 1 if self._config.interval == "epoch" else steps_per_epoch
        total, warmup = epochs * unit, self._config.warmup_epochs * unit

        def factor_at(peak: float) -> "_Factor":
            return _Factor(total, warmup, self._config.lr_min / peak)

        return LambdaLR(optimizer, [factor_at(group["lr"]) for group in optimizer.param_groups]), self._config.interval


class _Factor:
    def __init__(self, total: int, warmup: int, floor: float) -> None:
        self._total, self._warmup, self._floor = total, warmup, floor

    def __call__(self, now: int) -> float:
        return warmup_cosine_factor(now, self._total, self._warmup, self._floor)


class OneCycle:
    """One rise and one fall over the whole training (arXiv 1708.07120), per step."""

    def __init__(self, config: OneCycleConfig) -> None:
        """Keep the settings."""
        self._config = config

    def __call__(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> tuple[OneCycleLR, str]:
        """Return the scheduler and when to step it; an optimizer without momentum keeps what it has."""
        config = self._config
        schedule = OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=epochs * steps_per_epoch,
            pct_start=config.rising,
            anneal_strategy=config.anneal,
            cycle_momentum=config.cycle_momentum and bool({"betas", "momentum"} & optimizer.defaults.keys()),
            base_momentum=config.base_momentum,
            max_momentum=config.max_momentum,
            div_factor=config.div_factor,
            final_div_factor=config.final_div_factor,
        )
        return schedule, "step"


class Constant:
    """The learning rate stays as it is."""

    def __call__(self, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int) -> tuple[LambdaLR, str]:
        """Return a scheduler that changes nothing."""
        del epochs, steps_per_epoch
        return LambdaLR(optimizer, _one), "epoch"


def _one(_epoch: int) -> float:
    return 1.0


def make_warmup_cosine(config: WarmupCosineConfig, _context: Context) -> WarmupCosine:
    """Return the schedule `warmup_cosine`."""
    return WarmupCosine(config)


def make_onecycle(config: OneCycleConfig, _context: Context) -> OneCycle:
    """Return the schedule `onecycle`."""
    return OneCycle(config)


def make_constant(_config: ConstantConfig, _context: Context) -> Constant:
    """Return the schedule `constant`."""
    return Constant()
