"""Curves for Weights & Biases; needs the extra `wandb`."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import WandbConfig

_ID_FILE = "run_id.txt"


class Wandb:
    """Makes the logger of Weights & Biases."""

    def __init__(self, config: WandbConfig, _context: Context) -> None:
        """Keep the settings."""
        self._config = config

    def make(self, run_dir: Path, _name: str) -> WandbLogger:
        """Return the logger of a run; nothing is sent before the first value.

        Raises:
            PlutoError: There is no such run, no network, or nobody is logged in (told when the first value comes).
        """
        config = self._config
        folder = run_dir / "wandb"
        settings = wandb.Settings(console="off", silent=True)
        return _Run(
            name=config.name or f"{run_dir.parent.name}/{run_dir.name}",
            project=config.project,
            id=config.id or run_id(folder),
            resume=config.resume,
            save_dir=run_dir,
            mode=config.mode,
            entity=config.entity,
            group=config.group,
            tags=list(config.tags),
            settings=settings,
        )


class _Run(WandbLogger):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._wandb_init.pop("anonymous", None)  # Lightning passes it on, and W&B warns of it

    @property
    def log_dir(self) -> str | None:
        """Return the folder of what is written here."""
        return str(Path(self.save_dir or ".") / "wandb")

    @property
    def experiment(self) -> object:
        """Return the run of W&B, begun if need be; what it refuses is one message."""
        with _plain():
            return super().experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run at W&B, so that the next one of this process is another."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status == "failed"))


@contextmanager
def _plain() -> Iterator[None]:
    try:
        yield
    except wandb.errors.Error as error:
        text = str(error).strip().replace("\n", " ")
        message = (
            f'logger wandb: {text}; log in with `wandb login`, or set mode = "offline" and send it later with `wandb sync`'
        )
        raise PlutoError(message) from error


def run_id(folder: Path) -> str:
    """Return the id of a run: drawn from its folder's place once, and kept there, also when the folder is moved."""
    path = folder / _ID_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    folder.mkdir(parents=True, exist_ok=True)
    fresh = hashlib.blake2b(f"{folder.resolve()} {folder.stat().st_ctime_ns}".encode(), digest_size=8).hexdigest()
    path.write_text(fresh + "\n", encoding="utf-8")
    return fresh
