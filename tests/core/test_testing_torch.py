"""Every test of the suites that need torch can fail, too."""

import importlib

import pytest

import pluto_lightning.trainer  # noqa: F401 -- Lightning sets a variable when it is first imported

SUPPLY = """
from pluto_core.component import Context
from pluto_core.plugins import Catalogue
from pluto_core.testing import plugin
from pluto_core.testing.supply import Supply
from pluto_lightning.testing import needs
from pluto_lightning.testing.config import FakeModelConfig

SUPPLY = Supply.of(needs.fake(FakeModelConfig()), Catalogue.of(plugin), Context())
more = {"supply": pytest.fixture(lambda self: SUPPLY), "model_use": "fake"}
"""
FACTS = "test_facts_are_true"
CASES = {
    "CallbackSuite": ("broken_callbacks", {}),
    "LoggerSuite": ("broken_loggers", {}),
    "ModelSuite": ("broken_models", {"body": SUPPLY}),
    "ObjectiveSuite": ("broken_objectives", {"body": SUPPLY}),
    "OptimizerSuite": ("broken_optimizers", {}),
    "ScheduleSuite": ("broken_schedules", {}),
    "TrainerSuite": ("broken_trainers", {}),
}


LONG = {"CallbackSuite", "TrainerSuite"}


@pytest.mark.parametrize("suite", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in CASES])
def test_broken_parts_are_caught(tmp_path, local_plugins, suite):
    """Each broken part fails the tests that it names, in the test itself; together they make every test of the suite fail."""
    module, options = CASES[suite]
    run = importlib.import_module("broken_runs").assert_caught
    run(f"pluto_lightning.testing:{suite}", module, tmp_path, elsewhere=(FACTS,), **options)
