"""`LoggerSuite`: curves are written, into the run's folder, and a continued run loses none."""

from pathlib import Path
from typing import ClassVar

import pytest
from pytorch_lightning.loggers import Logger

from pluto_core.component import Context
from pluto_core.protocols import RunLogger
from pluto_core.testing.components import ComponentSuite
from pluto_lightning.config import LightningConfig
from pluto_lightning.testing.jobs import make_job
from pluto_lightning.trainer import make

_NAME = "train"


class LoggerSuite(ComponentSuite, suite=True):
    """Tests of what makes a logger of Lightning."""

    kinds: ClassVar[tuple[str, ...]] = ("loggers",)
    subject: ClassVar[str] = "maker"
    remote: ClassVar[bool] = False
    """Whether curves go to a service, not into the run's folder."""

    @pytest.fixture
    def maker(self, request: pytest.FixtureRequest) -> RunLogger:
        """Return the maker."""
        made: RunLogger = self.make(request)
        return made

    def test_makes_loggers(self, maker: RunLogger, tmp_path: Path) -> None:
        """It makes what Lightning calls a logger, another one for every run."""
        first, second = maker.make(tmp_path / "a", _NAME), maker.make(tmp_path / "b", _NAME)
        assert isinstance(first, Logger)
        assert first is not second

    def test_curves_are_written(self, maker: RunLogger, tmp_path: Path) -> None:
        """What was logged is in the run's folder when the logger is done, unless it is `remote`; nothing is beside it."""
        if self.remote:
            pytest.skip("curves go to a service (remote = True)")
        _log(maker, tmp_path / "run", range(20))
        assert sum(_files(tmp_path / "run").values())
        assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["run"]

    def test_a_continued_run_loses_nothing(self, maker: RunLogger, tmp_path: Path) -> None:
        """A logger made anew for the same run adds to what is there."""
        if self.remote:
            pytest.skip("curves go to a service (remote = True)")
        _log(maker, tmp_path, range(20))
        before = _files(tmp_path)
        _log(maker, tmp_path, range(20, 22))
        after = _files(tmp_path)
        shorter = [path for path, size in before.items() if after.get(path, 0) < size]
        assert not shorter, f"a continued run shortens {', '.join(shorter)}"
        assert sum(after.values()) > sum(before.values())

    def test_in_a_training(self, maker: RunLogger, tmp_path: Path) -> None:
        """Lightning takes it: a small training logs to it, and ends."""
        trainer = make(LightningConfig(epochs=1, accelerator="cpu", log_every=1), Context())
        trainer.fit(make_job(tmp_path, loggers=[maker]))
        assert self.remote or len(_files(tmp_path)) > len(list((tmp_path / "checkpoints").iterdir()))


def _log(maker: RunLogger, folder: Path, steps: range) -> None:
    logger = maker.make(folder, _NAME)
    for step in steps:
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step=step)
    logger.save()
    logger.finalize("success")


def _files(folder: Path) -> dict[str, int]:
    """Return sizes of files by name; links, such as one to the newest log, hold nothing."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
