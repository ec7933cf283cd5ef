"""What the bridge to nuplan-devkit offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

from pluto_core.filters import ScenarioFilter
from pluto_core.testing import BuilderSuite, HooksSuite, SourceSuite
from pluto_core.testing.scenes import make_scene
from pluto_lightning.testing import ModelSuite, ObjectiveSuite

DEVKIT = "pluto_devkit.hooks"
SAMPLING = "nuplan.planning.simulation.trajectory.trajectory_sampling.TrajectorySampling"
PREPROCESSING = "nuplan.planning.training.preprocessing"
TRAINING = "nuplan.planning.training.modeling"
PLANNER = {"model": "devkit_toys:SmallModel", "horizon_s": 2.0}
WHOLE = ({"agents": 3, "lanes": 2}, {"agents": 1, "lanes": 1, "seed": 1}, {"agents": 8, "lanes": 3, "seed": 2})
"""Scenes that the devkit's builders take: none of them ends early."""


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = DEVKIT
    settings: ClassVar = {"model.devkit": PLANNER, "objective.devkit": {"objectives": ()}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("devkit")
class TestSource(SourceSuite):
    """`devkit` with the devkit's own scenario builder, on a synthetic dataset."""

    hooks, use = DEVKIT, "devkit"

    @pytest.fixture
    def settings(self, own):
        """Return the builder's arguments."""
        return own

    @pytest.fixture
    def wanted(self):
        """Return a filter that takes few frames."""
        return ScenarioFilter(scenario_types=("near_pedestrian_on_crosswalk", "on_traffic_light_intersection", "unknown"))


class TestImported(BuilderSuite):
    """`devkit_imported`: it says what imported samples hold, and computes none."""

    hooks, use, kind = DEVKIT, "devkit_imported", "features"
    gaps: ClassVar = dict.fromkeys(
        (
            "test_output_is_what_the_spec_says",
            "test_no_state_between_scenes",
            "test_scene_is_left_alone",
            "test_same_in_another_process",
            "test_wider_window_changes_nothing",
            "test_samples_can_be_stored",
            "test_samples_make_a_batch",
        ),
        "what was imported cannot be computed from scenes",
    )


@pytest.mark.usefixtures("devkit")
class TestFeatures(BuilderSuite):
    """`devkit` under features, with the devkit's builder of agents."""

    hooks, use, kind = DEVKIT, "devkit", "features"

    @pytest.fixture
    def settings(self, devkit):
        """Return the builder."""
        sampling = {"_target_": SAMPLING, "num_poses": 4, "time_horizon": 1.5}
        builder = f"{PREPROCESSING}.feature_builders.agents_feature_builder:AgentsFeatureBuilder"
        return {"builder": builder, "arguments": {"trajectory_sampling": sampling}, "future_s": 0.0}

    @pytest.fixture
    def scenes(self, builder):
        """Return scenes with somebody in them: of an empty one the devkit makes no valid feature."""
        return [make_scene(**scene, window=builder.window) for scene in WHOLE]


@pytest.mark.usefixtures("devkit")
class TestTargets(BuilderSuite):
    """`devkit` under targets, with the devkit's builder of trajectories."""

    hooks, use, kind = DEVKIT, "devkit", "targets"

    @pytest.fixture
    def settings(self, devkit):
        """Return the builder."""
        sampling = {"_target_": SAMPLING, "num_poses": 4, "time_horizon": 2.0}
        builder = f"{PREPROCESSING}.target_builders.ego_trajectory_target_builder:EgoTrajectoryTargetBuilder"
        return {"builder": builder, "arguments": {"future_trajectory_sampling": sampling}, "history_s": 0.0, "future_s": 2.0}


@pytest.mark.usefixtures("devkit", "local_plugins")
class TestModel(ModelSuite):
    """`devkit` with a small model."""

    hooks, use = DEVKIT, "devkit"

    @pytest.fixture
    def settings(self, devkit, local_plugins):
        """Return the model."""
        return PLANNER

    @pytest.fixture
    def samples(self, supply):
        """Return samples of scenes that go on long enough for the devkit."""
        return supply.samples(WHOLE)


@pytest.mark.usefixtures("devkit", "local_plugins")
class TestObjective(ObjectiveSuite):
    """`devkit` with a stock objective and metric."""

    hooks, use = DEVKIT, "devkit"

    @pytest.fixture
    def settings(self):
        """Return objectives and metrics."""
        imitation = f"{TRAINING}.objectives.imitation_objective.ImitationObjective"
        weights = {"unknown": 2.0}
        return {
            "objectives": ({"_target_": imitation, "scenario_type_loss_weighting": weights},),
            "metrics": ({"_target_": f"{TRAINING}.metrics.planning_metrics.AverageDisplacementError"},),
        }

    @pytest.fixture
    def model_settings(self, devkit, local_plugins):
        """Return the model."""
        return PLANNER

    @pytest.fixture
    def samples(self, supply):
        """Return samples of scenes that go on long enough for the devkit."""
        return supply.samples(WHOLE)
