"""Makers of callbacks, each with one defect."""

import sys
from pathlib import Path

from broken_parts import caught_by, components
from pytorch_lightning import Callback

from pluto_core import hookimpl


class _Maker:
    def __init__(self, *_):
        pass


class _Unstorable(Callback):
    def state_dict(self):
        return {"self": Path}


class _Nosy(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        assert trainer.callback_metrics["val/never"]


class _Once(Callback):
    def state_dict(self):
        return {"epochs": 1}

    def load_state_dict(self, state_dict):
        self.epochs = state_dict["epoch"] if "epochs" not in state_dict else state_dict["epochs"]

    def on_train_start(self, trainer, pl_module):
        assert not hasattr(self, "epochs"), "this callback cannot go on"


@caught_by("test_makes_callbacks")
class Sharing(_Maker):
    """Makes one callback for all runs."""

    kept = Callback()

    def make(self, run_dir):
        """Return the same one always."""
        return self.kept


@caught_by("test_state_can_be_stored", "test_in_a_continued_training")
class Unstorable(_Maker):
    """Makes callbacks whose state only code can read."""

    def make(self, run_dir):
        """Return one that stores a class."""
        return _Unstorable()


@caught_by("test_in_a_training", "test_in_a_continued_training")
class Nosy(_Maker):
    """Makes callbacks that need a value that nobody logs."""

    def make(self, run_dir):
        """Return one that looks at it."""
        return _Nosy()


@caught_by("test_in_a_continued_training")
class Once(_Maker):
    """Makes callbacks that cannot go on."""

    def make(self, run_dir):
        """Return one for undisturbed runs."""
        return _Once()


@hookimpl
def pluto_register_callbacks():
    """Return all of them."""
    return components(sys.modules[__name__])
