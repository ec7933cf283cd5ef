"""How the learning rate changes."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pluto_core.component import Context
from pluto_lightning.config import ConstantConfig, WarmupCosineConfig


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


def make_constant(_config: ConstantConfig, _context: Context) -> Constant:
    """Return the schedule `constant`."""
    return Constant()
