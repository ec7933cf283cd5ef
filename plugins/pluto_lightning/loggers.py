"""Where curves go."""

from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from pluto_core.component import Context
from pluto_lightning.config import CsvConfig, TensorBoardConfig


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

    def make(self, run_dir: Path, _name: str) -> CSVLogger:
        """Return the logger of a run."""
        return CSVLogger(save_dir=run_dir, name="", version=self._folder)
