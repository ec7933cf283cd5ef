"""What the trainer steps with."""

from typing import Any

from torch import nn
from torch.optim import AdamW

from pluto_core.component import Context
from pluto_lightning.config import AdamWConfig
from pluto_lightning.parameter_groups import by_factor, parameter_groups


class AdamWMaker:
    """Makes AdamW in two groups, each divided by learning rate where some parameters have one of their own."""

    def __init__(self, config: AdamWConfig) -> None:
        """Keep the settings."""
        self._config = config

    def __call__(self, module: nn.Module, *, batch_size: int) -> AdamW:
        """Return the optimizer; the learning rate is taken as it is, whatever the batch size.

        Raises:
            PlutoError: A pattern of `lr_factors` fits no parameter.
        """
        del batch_size
        config = self._config
        factors = by_factor(module, config.lr_factors)
        groups: list[dict[str, Any]] = []
        for factor in (1.0, *sorted(set(factors.values()) - {1.0})):
            for group in parameter_groups(module, config.weight_decay):
                params = [one for one in group["params"] if factors[one] == factor]
                if params or factor == 1.0:
                    groups.append({**group, "params": params, "lr": config.lr * factor})
        return AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def make_adamw(config: AdamWConfig, _context: Context) -> AdamWMaker:
    """Return the optimizer `adamw`."""
    return AdamWMaker(config)
