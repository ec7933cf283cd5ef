"""`CallbackSuite`: Lightning takes the callback, also when a run goes on."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytorch_lightning import Callback

from pluto_core.component import Context
from pluto_core.protocols import RunCallback
from pluto_core.testing.components import ComponentSuite
from pluto_lightning.config import LightningConfig
from pluto_lightning.testing.jobs import MemoryReader, Watched, make_job
from pluto_lightning.testing.optimizers import stored
from pluto_lightning.trainer import make


class CallbackSuite(ComponentSuite, suite=True):
    """Tests of what makes a callback of Lightning."""

    kinds: ClassVar[tuple[str, ...]] = ("callbacks",)
    subject: ClassVar[str] = "maker"

    @pytest.fixture
    def maker(self, request: pytest.FixtureRequest) -> RunCallback:
        """Return the maker."""
        made: RunCallback = self.make(request)
        return made

    def test_makes_callbacks(self, maker: RunCallback, tmp_path: Path) -> None:
        """It makes what Lightning calls a callback, another one for every run."""
        first, second = maker.make(tmp_path / "a"), maker.make(tmp_path / "b")
        assert isinstance(first, Callback)
        assert first is not second

    def test_state_can_be_stored(self, maker: RunCallback, tmp_path: Path) -> None:
        """Its state is read back from a checkpoint without running any code."""
        callback = maker.make(tmp_path)
        callback.load_state_dict(stored(callback.state_dict()))

    def test_in_a_training(self, maker: RunCallback, tmp_path: Path) -> None:
        """A small training with it ends, with a checkpoint."""
        _trainer().fit(make_job(tmp_path, callbacks=[maker]))
        assert list((tmp_path / "checkpoints").iterdir())

    def test_in_a_continued_training(self, maker: RunCallback, tmp_path: Path) -> None:
        """After an interrupt a training with it goes on from the checkpoint that holds its state."""
        job = make_job(tmp_path, callbacks=[maker])
        train = Watched(MemoryReader().loader("train", (0, 1)), interrupt_at=1)
        with pytest.raises(KeyboardInterrupt):
            _trainer().fit(make_job(tmp_path, callbacks=[maker], parts={**job.parts, "train": train}))
        _trainer().fit(job)


def _trainer() -> Any:
    return make(LightningConfig(epochs=2, accelerator="cpu"), Context())
