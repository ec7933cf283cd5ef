"""Running an experiment: folders, steps, results."""

from pluto_core.run.execute import execute

__all__ = ["execute"]
