"""The kit for authors of models, objectives and what trainers take; see `pluto_core.testing`.

A test of a model and its objective, complete:

    from pluto_lightning.testing import ModelSuite, ObjectiveSuite

    class TestModel(ModelSuite):
        hooks, use = "pluto_shelf.hooks", "shelf"

    class TestObjective(ObjectiveSuite):
        hooks, use = "pluto_shelf.hooks", "shelf"

Suites need the extra `testing`. `pluto_lightning.testing.plugin` is a plugin of a small model, its objective and a plain
trainer, each called `fake`; it goes well with `pluto_core.testing.plugin`.
"""

from typing import TYPE_CHECKING

from pluto_core.testing.lazy import suites

if TYPE_CHECKING:
    from pluto_lightning.testing.callbacks import CallbackSuite as CallbackSuite
    from pluto_lightning.testing.collation import collate as collate
    from pluto_lightning.testing.loggers import LoggerSuite as LoggerSuite
    from pluto_lightning.testing.models import ModelSuite as ModelSuite
    from pluto_lightning.testing.objectives import ObjectiveSuite as ObjectiveSuite
    from pluto_lightning.testing.optimizers import OptimizerSuite as OptimizerSuite
    from pluto_lightning.testing.schedules import ScheduleSuite as ScheduleSuite
    from pluto_lightning.testing.trainers import TrainerSuite as TrainerSuite

_PLACES = {
    "CallbackSuite": "callbacks",
    "LoggerSuite": "loggers",
    "ModelSuite": "models",
    "ObjectiveSuite": "objectives",
    "OptimizerSuite": "optimizers",
    "ScheduleSuite": "schedules",
    "TrainerSuite": "trainers",
    "collate": "collation",
}

__all__ = [
    "CallbackSuite",
    "LoggerSuite",
    "ModelSuite",
    "ObjectiveSuite",
    "OptimizerSuite",
    "ScheduleSuite",
    "TrainerSuite",
    "collate",
]

__getattr__ = suites(__name__, _PLACES)
