"""What the trainer steps with."""

from torch import nn
from torch.optim import AdamW

from pluto_core.component import Context
from pluto_lightning.config import AdamWConfig
from pluto_lightning.parameter_groups import parameter_groups


class AdamWMaker:
    """Makes AdamW in two groups."""

    def __init__(self, config: AdamWConfig) -> None:
        """Keep the settings."""
        self._config = config

    def __call__(self, module: nn.Module, *, batch_size: int) -> AdamW:
        """Return the optimizer; the learning rate is taken as it is, whatever the batch size."""
        del batch_size
        config = self._config
        groups = [dict(group) for group in parameter_groups(module, config.weight_decay)]
        return AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def make_adamw(config: AdamWConfig, _context: Context) -> AdamWMaker:
    """Return the optimizer `adamw`."""
    return AdamWMaker(config)
