"""What the Lightning plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

import pluto_lightning.trainer  # noqa: F401 -- Lightning sets a variable when it is first imported
from pluto_core import Context, PlutoError, Requirement
from pluto_core.plugins import Catalogue
from pluto_core.testing import HooksSuite, plugin
from pluto_core.testing.supply import Supply
from pluto_lightning.testing import (
    CallbackSuite,
    LoggerSuite,
    ModelSuite,
    ObjectiveSuite,
    OptimizerSuite,
    ScheduleSuite,
    TrainerSuite,
    needs,
)
from pluto_lightning.testing.config import FakeModelConfig

LIGHTNING = "pluto_lightning.hooks"
FAKES = "pluto_lightning.testing.plugin"
SUPPLY = Supply.of(needs.fake(FakeModelConfig()), Catalogue.of(plugin), Context())


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = LIGHTNING


class TestConstantVelocity(ModelSuite):
    """The model `constant_velocity`: its only parameter stays what it is."""

    hooks, use = LIGHTNING, "constant_velocity"
    trains: ClassVar = False


class TestDistance(ObjectiveSuite):
    """The objective `constant_velocity`."""

    hooks, use = LIGHTNING, "constant_velocity"
    trains: ClassVar = False


class TestEgoMlp(ModelSuite):
    """The model `ego_mlp`."""

    hooks, use = LIGHTNING, "ego_mlp"


class TestEgoMlpObjective(ObjectiveSuite):
    """The objective `ego_mlp`."""

    hooks, use = LIGHTNING, "ego_mlp"


class TestAdamW(OptimizerSuite):
    """`adamw`."""

    hooks, use = LIGHTNING, "adamw"


class TestWarmupCosine(ScheduleSuite):
    """`warmup_cosine`."""

    hooks, use = LIGHTNING, "warmup_cosine"


class TestWarmupCosineByStep(ScheduleSuite):
    """`warmup_cosine`, stepped after every step."""

    hooks, use = LIGHTNING, "warmup_cosine"

    @pytest.fixture
    def settings(self):
        """Return settings by step."""
        return {"interval": "step", "warmup_epochs": 1}


class TestOneCycle(ScheduleSuite):
    """`onecycle`."""

    hooks, use = LIGHTNING, "onecycle"


class TestConstant(ScheduleSuite):
    """`constant`."""

    hooks, use = LIGHTNING, "constant"


class TestTrainer(TrainerSuite):
    """`lightning`."""

    hooks, use = LIGHTNING, "lightning"

    @pytest.fixture
    def settings(self):
        """Return settings of a short training."""
        return {"epochs": self.epochs, "accelerator": "cpu"}


class TestTensorBoard(LoggerSuite):
    """`tensorboard`."""

    hooks, use = LIGHTNING, "tensorboard"


class TestCsv(LoggerSuite):
    """`csv`."""

    hooks, use = LIGHTNING, "csv"


@pytest.mark.usefixtures("wandb_alone")
class TestWandb(LoggerSuite):
    """`wandb`, which writes what `wandb sync` sends."""

    hooks, use = LIGHTNING, "wandb"

    @pytest.fixture
    def settings(self):
        """Return settings that need no service."""
        return {"mode": "offline"}


class TestEarlyStopping(CallbackSuite):
    """`early_stopping`."""

    hooks, use = LIGHTNING, "early_stopping"


class TestFakeHooks(HooksSuite):
    """The hooks of the small parts."""

    hooks = FAKES


class TestFakeModel(ModelSuite):
    """`FakeModel`."""

    hooks, use = FAKES, "fake"

    @pytest.fixture
    def supply(self):
        """Return the small builders, which another plugin offers."""
        return SUPPLY


class TestFakeObjective(ObjectiveSuite):
    """`FakeObjective`."""

    hooks, use = FAKES, "fake"

    @pytest.fixture
    def supply(self):
        """Return the small builders, which another plugin offers."""
        return SUPPLY


class TestFakeTrainer(TrainerSuite):
    """`FakeTrainer`."""

    hooks, use = FAKES, "fake"


def test_without_builders_the_way_out_is_named():
    """A model that asks for builders that nobody offers is told to give its samples itself."""
    asking = Requirement(features=({"use": "nobody"},))
    with pytest.raises(PlutoError, match="give the fixtures `spec` and `samples`"):
        Supply.of(asking, Catalogue.of(), Context())
