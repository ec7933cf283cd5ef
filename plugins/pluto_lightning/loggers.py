"""Where curves go."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from pluto_core.component import Context
from pluto_lightning.config import CsvConfig, TensorBoardConfig

_STEP = "step"


class TensorBoard:
    """Makes the logger of TensorBoard."""

    def __init__(self, config: TensorBoardConfig, _context: Context) -> None:
        """Keep the folder."""
        self._folder = config.folder

    def make(self, run_dir: Path, _name: str) -> TensorBoardLogger:
        """Return the logger of a run; a continued run goes on in the same folder."""
        return TensorBoardLogger(save_dir=run_dir, name="", version=self._folder)


class Csv:
    """Makes the logger that writes `metrics.csv`."""

    def __init__(self, config: CsvConfig, _context: Context) -> None:
        """Keep the folder."""
        self._folder = config.folder

    def make(self, run_dir: Path, _name: str) -> "CsvFile":
        """Return the logger of a run."""
        return CsvFile(run_dir / self._folder)


class CsvFile(Logger):
    """One table: a row a step, a column a value. A continued run goes on in it (Lightning's own would delete the file)."""

    def __init__(self, folder: Path) -> None:
        """Remember where the table stands; nothing is written yet."""
        super().__init__()
        self.path = folder / "metrics.csv"
        self._rows: dict[int, dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """Return the name of the folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Return an empty text: a run has one table."""
        return ""

    @property
    def log_dir(self) -> str:
        """Return the folder of the table."""
        return str(self.path.parent)

    def log_hyperparams(self, *_arguments: Any, **_settings: Any) -> None:
        """Write nothing: the run's folder holds the whole experiment."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the row of a step.

        The first step of a continued run drops the rows from there on: they come once more.
        """
        if self._rows is None:
            self._rows = {known: row for known, row in self._read().items() if step is not None and known < step}
        row = self._rows.setdefault(len(self._rows) if step is None else step, {})
        row.update((name, float(value)) for name, value in metrics.items())

    @rank_zero_only
    def save(self) -> None:
        """Write the table."""
        if not self._rows:
            return
        names = sorted({name for row in self._rows.values() for name in row})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [_STEP, *names])
            writer.writeheader()
            writer.writerows({_STEP: step, **row} for step, row in sorted(self._rows.items()))
        part.replace(self.path)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the table, however training ended."""
        del status
        self.save()

    def _read(self) -> dict[int, dict[str, Any]]:
        if not self.path.is_file():
            return {}
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {int(row[_STEP]): {name: value for name, value in row.items() if name != _STEP and value} for row in rows}
