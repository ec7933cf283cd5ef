"""Training on several devices: forked processes of this one, so that nothing but the training is done twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.multiprocessing.spawn import ProcessRaisedException

from pluto_core.errors import PlutoError

_GRACE_S = 5.0
_MISTAKE = f"{PlutoError.__module__}.{PlutoError.__qualname__}: "


def world_of(devices: int | str) -> int:
    """Return on how many devices `devices` means to train.

    Raises:
        PlutoError: The number is not positive.
    """
    if isinstance(devices, str):
        return max(torch.cuda.device_count(), 1)
    if devices < 1:
        message = f'trainer.devices is {devices}; it must be 1 or more, or "auto"'
        raise PlutoError(message)
    return devices


def spread_over(world: int, accelerator: str) -> dict[str, Any]:
    """Return Lightning's settings for a number of devices.

    Lightning would start the whole command once more for every device, and each would claim a run and fill the cache.
    """
    if world == 1:
        return {}
    # Counting devices leaves CUDA as it is; asking whether it is available would make forks impossible.
    return {"strategy": "ddp_fork", "sync_batchnorm": accelerator != "cpu" and torch.cuda.device_count() > 0}


@contextmanager
def plain_endings(trainer: pl.Trainer) -> Iterator[None]:
    """Turn the ways in which Lightning ends into those of a run: mistakes are one line, Ctrl-C is Ctrl-C.

    Raises:
        PlutoError: Lightning refuses a setting, or a process of the training found a mistake.
        KeyboardInterrupt: The user stopped it; no process stays.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise PlutoError(f"the trainer refuses its settings: {error}") from error
    except ProcessRaisedException as error:
        mistakes = [line.removeprefix(_MISTAKE) for line in str(error).splitlines() if line.startswith(_MISTAKE)]
        if not mistakes:
            raise
        raise PlutoError(mistakes[-1]) from None
    except SystemExit:
        # Lightning turns Ctrl-C into exit(1); the run has to know what it was.
        if not trainer.interrupted:
            raise
    if trainer.interrupted:
        _end_processes(trainer)
        raise KeyboardInterrupt


def _end_processes(trainer: pl.Trainer) -> None:
    processes = getattr(trainer.strategy.launcher, "procs", ())
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_GRACE_S)
        if process.is_alive():
            process.kill()
