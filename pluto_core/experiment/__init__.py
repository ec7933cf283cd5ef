"""Experiment files: reading, checking, resolving."""

from pluto_core.experiment.experiment import Experiment
from pluto_core.experiment.reading import read

__all__ = ["Experiment", "read"]
