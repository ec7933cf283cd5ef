"""Checkpoints: what is in them, and how one that does not fit is reported."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor, nn

from pluto_core.errors import PlutoError
from pluto_core.pipeline.durable import explained, leftovers, write_file
from pluto_core.places.archives import require_plain

EXPERIMENT = "experiment"
"""Where a checkpoint holds the resolved experiment that made it."""
LEARNING_RATE = "learning_rate"
"""Where it holds what the rule of scaling made of the optimizer's settings."""
SKIPPED = "skipped_steps"
"""Where it holds the steps that were left out because something in them was no number."""
_MODEL = "model."
_SHOWN = 3


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints that are whole or absent, wherever the process dies.

    Lightning writes into the system's temporary folder and moves from there: between file systems a copy, and whoever is
    killed in it has neither the old checkpoint nor the new one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside its place and rename it; a disk that is full is one message.

        Raises:
            PlutoError: The disk refuses it; the checkpoint of before stays.
        """
        del storage_options
        place, buffer = Path(path), io.BytesIO()
        torch.save(checkpoint, buffer)
        with explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            for left in leftovers(place):
                left.unlink(missing_ok=True)
            write_file(place, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint of ours holds; nothing in it is executed.

    Raises:
        PlutoError: The file cannot be read, or is no checkpoint.
    """
    try:
        require_plain(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        message = f"there is no checkpoint {path}"
        raise PlutoError(message) from None
    except OSError as error:
        raise PlutoError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from None
    except PlutoError as error:
        raise PlutoError(f"{error}; a checkpoint is an archive as torch writes it since 1.6, not compressed") from None
    except Exception as error:
        # The text of torch's error advises to switch the protection off, which must never be done.
        message = (
            f"{path} cannot be read as a checkpoint: it is damaged, or holds more than weights; "
            "`pluto model import` takes the weights out of published checkpoints of PLUTO"
        )
        raise PlutoError(message) from error
    if not isinstance(stored, dict) or not isinstance(stored.get("state_dict"), Mapping):
        message = f"{path} is no checkpoint of a training: it holds no 'state_dict'"
        raise PlutoError(message)
    return stored


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a checkpoint into a model.

    Raises:
        PlutoError: The file is no checkpoint, or its weights are not this model's.
    """
    model.load_state_dict(_fitting(model, read_checkpoint(path), path))


def require_continuable(model: nn.Module, path: Path) -> None:
    """Prove that training can go on from a checkpoint, before the trainer tries.

    Raises:
        PlutoError: It cannot; the message says what to do.
    """
    try:
        stored = read_checkpoint(path)
        _fitting(model, stored, path)
    except PlutoError as error:
        raise _cannot_go_on(str(error)) from error
    absent = [key for key in ("optimizer_states", "lr_schedulers", "loops", "callbacks") if key not in stored]
    if absent:
        raise _cannot_go_on(f"{path} holds weights only, without {', '.join(absent)}")


def _cannot_go_on(why: str) -> PlutoError:
    return PlutoError(f"training cannot go on: {why}; remove the file, or start a new run with --fresh")


def _fitting(model: nn.Module, stored: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the model's weights in a checkpoint, which are all there and have its shapes."""
    weights = {name.removeprefix(_MODEL): one for name, one in stored["state_dict"].items() if name.startswith(_MODEL)}
    wanted = model.state_dict()
    found = [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(one.shape)}"
        for name, one in wanted.items()
        if (name in weights and weights[name].shape != one.shape)
    ]
    found += [f"{name} is missing" for name in wanted.keys() - weights.keys()]
    found += [f"{name} is unknown" for name in weights.keys() - wanted.keys()]
    if found:
        shown = ", ".join(sorted(found)[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        message = f"{path} holds the weights of another model: {shown}"
        raise PlutoError(message)
    return weights
