"""Makers of loggers, each with one defect."""

import sys

from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_lightning.config import CsvConfig
from pluto_lightning.loggers import Csv, CsvFile


class _Maker(Csv):
    def __init__(self, _config, context):
        super().__init__(CsvConfig(), context)


class _Silent(CsvFile):
    def log_metrics(self, metrics, step=None):
        """Write nothing."""


class _Short(CsvFile):
    def _read(self):
        return {}


@caught_by("test_makes_loggers")
class Sharing(_Maker):
    """Makes one logger for all runs."""

    def make(self, run_dir, name):
        """Return the logger of the first run."""
        self._kept = getattr(self, "_kept", None) or super().make(run_dir, name)
        return self._kept


@caught_by("test_curves_are_written", "test_in_a_training")
class Silent(_Maker):
    """Makes loggers that write nothing."""

    def make(self, run_dir, name):
        """Return a silent one."""
        return _Silent(run_dir / "curves")


@caught_by("test_curves_are_written")
class Littering(_Maker):
    """Writes beside the run's folder."""

    def make(self, run_dir, name):
        """Return a logger of another folder."""
        return super().make(run_dir.with_name("other"), name)


@caught_by("test_a_continued_run_loses_nothing")
class Wiping(_Maker):
    """Begins a new table where a run goes on."""

    def make(self, run_dir, name):
        """Return a logger that does not read what is there."""
        return _Short(run_dir / "curves")


@caught_by("test_makes_loggers", "test_in_a_training")
class Foreign(_Maker):
    """Makes what Lightning does not know."""

    def make(self, run_dir, name):
        """Return a list."""
        return [run_dir, name]


@hookimpl
def pluto_register_loggers():
    """Return all of them."""
    return components(sys.modules[__name__])
