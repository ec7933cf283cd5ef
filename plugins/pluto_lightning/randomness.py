"""Seeds, and random states that survive an interruption."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


def seed_all(seed: int) -> None:
    """Seed torch on every device, numpy's global generator and Python's; no environment variable is set."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def captured() -> dict[str, Any]:
    """Return the state of every global generator as tensors and plain values, which `weights_only` loads."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(gauss)),
        "python": random.getstate(),
    }


def restore(state: Mapping[str, Any]) -> None:
    """Set every global generator to a captured state; devices that are not there are left out."""
    torch.set_rng_state(state["torch"].cpu())
    for device, one in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(one.cpu(), device)
    keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    random.setstate(state["python"])


class RandomState(pl.Callback):
    """Keeps every rank's random states in checkpoints, so that a continued run draws what an undisturbed one would."""

    def __init__(self) -> None:
        """Start without states to restore."""
        self._restored: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the states at this moment, one a rank; Lightning asks all ranks at the same time."""
        own = captured()
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return {"ranks": [own]}
        ranks: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts; what happens before must not change them."""
        self._restored = list(state_dict["ranks"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the state of this rank; a rank that there was not before goes on from its seed."""
        del pl_module
        if trainer.global_rank < len(self._restored):
            restore(self._restored[trainer.global_rank])
        self._restored = []
