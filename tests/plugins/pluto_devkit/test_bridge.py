"""Builders, models and objectives through the bridge, with recorded scenarios and stand-ins for the devkit's classes."""

import attrs
import numpy as np
import pytest
import torch
from recorded import RECORD, Scenario

from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.maps import MapView
from pluto_core.scene import ScenarioId, Window
from pluto_core.testing.scenes import make_scene
from pluto_devkit import objective, scenes, trees
from pluto_devkit.builders import DevkitBuilders
from pluto_devkit.config import FeatureConfig, ModelConfig, ObjectiveConfig
from pluto_devkit.model import DevkitModel
from pluto_lightning.testing.collation import collate

PLANNER = ModelConfig(model="devkit_ducks:Model", horizon_s=1.0, interval_s=0.5)
DISTANCE = {"_target_": "devkit_ducks.Distance"}
WINDOW = Window(history_s=0.5, future_s=0.0, interval_s=0.1)


@pytest.fixture
def ducks(local_plugins):
    """The stand-ins."""
    import devkit_ducks  # noqa: PLC0415 -- found by then

    return devkit_ducks


@pytest.fixture
def builder(ducks):
    """A builder of the devkit's kind, made from a state."""

    def make(state="", show=None):
        config = FeatureConfig(history_s=0.5, future_s=0.0, interval_s=0.1)
        ask = ducks.PositionsBuilder.get_features_from_scenario
        return DevkitBuilders(config, [ducks.PositionsBuilder(state)], ask, show or (lambda _scene: pytest.fail("not asked")))

    return make


@pytest.fixture
def scene():
    """The recorded scenario as a scene, which carries it."""
    view: MapView = make_scene(window=WINDOW).map
    return scenes.scene_of(Scenario(), ScenarioId(*RECORD["id"]), WINDOW, view)


def tree_of(sample):
    """What a sample holds."""
    return trees.decode({key.partition("/")[2]: array for key, array in sample.items()})


def test_builders_read_the_scenario_of_the_scene(builder, scene):
    """A builder's feature of the recorded scenario is stored as it serialises itself, ragged lists included."""
    tree = tree_of(builder().build(scene))
    assert tree["scenario_type"] == RECORD["scenario_type"]
    frames = tree["features"]["positions"]["frames"]
    assert [len(frame) for frame in frames] == [len(frame) for frame in RECORD["objects"]["past"]]
    np.testing.assert_allclose(frames[0], [row[2:4] for row in RECORD["objects"]["past"][0]], rtol=1e-6)


def test_other_scenes_are_shown_as_scenarios(builder):
    """A scene without a scenario is shown as one."""
    shown = []
    built = builder(show=lambda scene: shown.append(scene) or Scenario())
    bare = make_scene(window=WINDOW)
    built.build(bare)
    assert shown == [bare]


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [("broken", Reason.EXCEPTION, "it is broken"), ("invalid", Reason.SPEC_MISMATCH, "invalid itself")],
)
def test_builders_that_fail(builder, scene, state, reason, said):
    """What a builder raises, or calls invalid, is a failure of that scenario, with its name."""
    with pytest.raises(SampleError, match=said) as caught:
        builder(state).build(scene)
    assert caught.value.reason is reason
    assert "'positions'" in str(caught.value)


@pytest.fixture
def batch(ducks):
    """Three rows of different sizes, features and targets under one prefix, as an imported cache holds them."""
    rng = np.random.default_rng(0)
    samples = []
    for row in range(3):
        positions = {"frames": [rng.normal(size=(count, 2)).astype(np.float32) for count in range(1, row + 3)]}
        trajectory = {"data": np.full((2, 3), row, np.float32)}
        tree = {"scenario_type": f"type-{row}", "features": {"positions": positions, "trajectory": trajectory}}
        samples.append(trees.encode("devkit", tree))
    from pluto_devkit import schema  # noqa: PLC0415 -- beside its use

    return collate(samples, schema.tree("devkit"))


def test_models_are_given_their_features(batch):
    """Rows of any size become the devkit's batch; the prediction becomes a plan, and gradients reach the weights."""
    model = DevkitModel(PLANNER)
    outputs = model(batch)
    plan = model.plan(outputs, batch)
    assert plan.trajectories.shape == (3, 1, 2, 3)
    assert plan.probabilities.tolist() == [[1.0]] * 3
    outputs["trajectory"]["data"].sum().backward()
    assert model.wrapped.layer.weight.grad.any()


def test_objectives_are_weighed_and_added(batch):
    """Objectives see targets and types of their rows; `loss` is their mean, sum or greatest; metrics change nothing."""
    model = DevkitModel(PLANNER)
    outputs = model(batch)
    losses = {}
    for mode in ("mean", "sum", "max"):
        config = ObjectiveConfig(
            objectives=(DISTANCE, {**DISTANCE, "name": "weighed", "weights": {"type-1": 4.0}}),
            metrics=({**DISTANCE, "name": "metric"},),
            objective_aggregate_mode=mode,
        )
        terms = objective.make(config, Context(shared={"model": model}))(outputs, batch, training=True)
        losses[mode] = float(terms["loss"].detach())
    plain, weighed = float(terms["distance"].detach()), float(terms["weighed"].detach())
    assert weighed > plain
    assert losses == pytest.approx({"mean": (plain + weighed) / 2, "sum": plain + weighed, "max": weighed})
    assert float(terms["metric"]) == pytest.approx(plain)
    assert not terms["metric"].requires_grad


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objectives": ()}, "is empty"),
        ({"objectives": ({"weight": 1},)}, "_target_"),
        ({"objectives": (DISTANCE, DISTANCE)}, "more than one"),
        ({"metrics": ({**DISTANCE, "name": "m", "needs": "agents_trajectory"},)}, "agents_trajectory; the model computes"),
    ],
)
def test_objectives_that_cannot_be(ducks, change, said):
    """Mistakes in the tables are told before anything is trained."""
    config = ObjectiveConfig(**{"objectives": (DISTANCE,), **change})
    with pytest.raises(PlutoError, match=said):
        objective.make(config, Context(shared={"model": DevkitModel(PLANNER)}))


def test_other_models_have_other_objectives(ducks):
    """The devkit's objectives belong to its models."""
    with pytest.raises(PlutoError, match="other models"):
        objective.make(ObjectiveConfig(objectives=(DISTANCE,)), Context(shared={"model": torch.nn.Linear(1, 1)}))


def test_horizons_must_agree(ducks, batch):
    """A model that plans another horizon than the settings say, or has no such output, is refused."""
    with pytest.raises(PlutoError, match="horizon_s"):
        DevkitModel(attrs.evolve(PLANNER, horizon_s=8.0))
    model = DevkitModel(attrs.evolve(PLANNER, trajectory="path"))
    with pytest.raises(PlutoError, match="no trajectory called 'path'"):
        model.plan(model(batch), batch)
