"""Against nuplan-devkit itself: builders on its scenarios and on ours, its caches, its models through our trainer."""

import json
import pickle
import re

import made
import numpy as np
import pytest

from pluto_basics.config import EgoTrajectoryConfig
from pluto_basics.ego_trajectory import EgoTrajectory
from pluto_core.cli.main import outcome
from pluto_core.component import Context
from pluto_core.errors import PlutoError, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.plugins import Catalogue
from pluto_core.run.caches import cache_at
from pluto_core.scene import Window
from pluto_core.testing.equality import assert_same
from pluto_devkit import gzip_cache, trees
from pluto_devkit.config import DevkitSourceConfig, FeatureConfig, TargetConfig
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("devkit")]

SAMPLING = "nuplan.planning.simulation.trajectory.trajectory_sampling.TrajectorySampling"
BUILDERS = "nuplan.planning.training.preprocessing.feature_builders"
TARGETS = "nuplan.planning.training.preprocessing.target_builders"
PAST = {"_target_": SAMPLING, "num_poses": 4, "time_horizon": 1.5}
FUTURE = {"_target_": SAMPLING, "num_poses": 4, "time_horizon": 2.0}
FEATURES = {
    "agents": {
        "builder": f"{BUILDERS}.agents_feature_builder:AgentsFeatureBuilder",
        "arguments": {"trajectory_sampling": PAST},
    },
    "generic_agents": {
        "builder": f"{BUILDERS}.generic_agents_feature_builder:GenericAgentsFeatureBuilder",
        "arguments": {"agent_features": ["VEHICLE", "PEDESTRIAN"], "trajectory_sampling": PAST},
    },
    "vector_map": {"builder": f"{BUILDERS}.vector_map_feature_builder:VectorMapFeatureBuilder", "arguments": {"radius": 30.0}},
}
TRAJECTORY = {
    "builder": f"{TARGETS}.ego_trajectory_target_builder:EgoTrajectoryTargetBuilder",
    "arguments": {"future_trajectory_sampling": FUTURE},
    "history_s": 0.0,
    "future_s": 2.0,
}


@pytest.fixture(scope="module")
def builders():
    """The module that imports the devkit."""
    from pluto_devkit import factories  # noqa: PLC0415 -- the devkit may be absent

    return factories


@pytest.fixture(scope="module")
def source(dataset, home):
    """Our own reader."""
    return NuPlanSource(NuPlanConfig(data_root=str(dataset.data_root), map_root=str(dataset.map_root)), cache_home=home)


@pytest.fixture(scope="module")
def pairs(dataset, source):
    """Twenty ids, each with the devkit's own scenario."""
    from pluto_devkit.finding import Finder  # noqa: PLC0415 -- the devkit may be absent

    finder = Finder(DevkitSourceConfig(arguments=made.arguments(dataset)))
    ids = list(source.list(ScenarioFilter()).ids())
    chosen = [ids[row] for row in np.linspace(0, len(ids) - 1, 20).astype(int).tolist()]
    return [(one, finder.take([one])[0]) for one in chosen]


def features_in(sample):
    """What a sample holds, by unique name."""
    return trees.decode({key.partition("/")[2]: array for key, array in sample.items()})["features"]


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_equal(name, builders, source, pairs, dataset):
    """A stock feature builder gives the same of its own scenarios and of ours."""
    config = FeatureConfig(**FEATURES[name], future_s=0.0, map_root=str(dataset.map_root))
    built = builders.features(config, Context())
    for identity, scenario in pairs:
        expected = {key: built._built(key, one, scenario) for key, one in built._builders.items()}
        found = features_in(built.build(source.load(identity, built.window)))
        assert_same(_rounded(found), _rounded(json_like(expected)))


def test_target_equals_ours(builders, source, pairs):
    """The devkit's target of our scenarios, of its own, and our `ego_trajectory` are one trajectory."""
    built = builders.targets(TargetConfig(**TRAJECTORY), Context())
    native = EgoTrajectory(EgoTrajectoryConfig(horizon_s=2.0, interval_s=0.5))
    for identity, scenario in pairs:
        own = built._built("trajectory", built._builders["trajectory"], scenario)["data"]
        scene = source.load(identity, built.window)
        np.testing.assert_allclose(features_in(built.build(scene))["trajectory"]["data"], own, atol=1e-6)
        truth = native.build(source.load(identity, native.window))["truth/trajectory"]
        np.testing.assert_allclose(truth, own, atol=1e-5)


def test_builders_get_their_own_scenario(builders, own, pairs):
    """With the source `devkit` a builder reads the very scenario that the scenario builder gave."""
    from pluto_devkit.source import make  # noqa: PLC0415 -- the devkit may be absent

    built = builders.features(FeatureConfig(**FEATURES["agents"], future_s=0.0), Context())
    identity, scenario = pairs[10]
    scene = make(DevkitSourceConfig(**own), Context()).load(identity, built.window)
    expected = built._built("agents", built._builders["agents"], scenario)
    assert_same(_rounded(features_in(built.build(scene))), _rounded(json_like({"agents": expected})))


def test_scenario_interface(builders, source, pairs, dataset):
    """Our scenario answers what the devkit's own does: times, states, objects, lights, route, goal, map."""
    from pluto_devkit.scenario import NuPlanScenario  # noqa: PLC0415 -- the devkit may be absent

    identity, theirs = pairs[7]
    scene = source.load(identity, Window(history_s=1.0, future_s=2.0, interval_s=0.05))
    ours = NuPlanScenario(scene, map_root=str(dataset.map_root))
    for question in ("get_ego_past_trajectory", "get_ego_future_trajectory"):
        for one, other in zip(getattr(ours, question)(0, 1.0, 5), getattr(theirs, question)(0, 1.0, 5), strict=True):
            assert one.time_us == other.time_us
            np.testing.assert_allclose([*one], [*other], atol=1e-9)
    for question in ("get_past_timestamps", "get_future_timestamps"):
        assert [one.time_us for one in getattr(ours, question)(0, 1.0, 4)] == [
            one.time_us for one in getattr(theirs, question)(0, 1.0, 4)
        ]
    for question in ("get_past_tracked_objects", "get_future_tracked_objects"):
        for one, other in zip(getattr(ours, question)(0, 1.0, 4), getattr(theirs, question)(0, 1.0, 4), strict=True):
            assert _agents(one) == _agents(other)
    window = (0, 0.2, 0.2)
    assert _agents(ours.get_tracked_objects_within_time_window_at_iteration(*window)) == _agents(
        theirs.get_tracked_objects_within_time_window_at_iteration(*window)
    )
    assert [(one.lane_connector_id, one.status) for one in ours.get_traffic_light_status_at_iteration(0)] == [
        (one.lane_connector_id, one.status) for one in theirs.get_traffic_light_status_at_iteration(0)
    ]
    assert ours.get_route_roadblock_ids() == theirs.get_route_roadblock_ids()
    assert (ours.token, ours.log_name) == (theirs.token, theirs.log_name)
    assert ours.map_api is theirs.map_api
    np.testing.assert_allclose([*ours.get_mission_goal()], [*theirs.get_mission_goal()], atol=1e-9)
    assert pickle.loads(pickle.dumps(ours)).token == ours.token  # noqa: S301 -- ours


def test_predictions(builders, source, pairs):
    """Objects carry the trajectories that they drive, as the devkit's own do."""
    from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling  # noqa: PLC0415

    from pluto_devkit.scenario import NuPlanScenario  # noqa: PLC0415 -- the devkit may be absent

    identity, theirs = pairs[7]
    ours = NuPlanScenario(source.load(identity, Window(history_s=0.0, future_s=2.0, interval_s=0.05)))
    sampling = TrajectorySampling(num_poses=2, time_horizon=1.0)
    found, expected = (_ways(one.get_tracked_objects_at_iteration(0, sampling)) for one in (ours, theirs))
    assert found.keys() == expected.keys()
    assert any(expected.values())
    for track, ways in expected.items():
        np.testing.assert_allclose(found[track], ways, atol=1e-6)
    with pytest.raises(PlutoError, match="future_s"):
        ours.get_tracked_objects_at_iteration(0, TrajectorySampling(num_poses=4, time_horizon=8.0))


def test_what_scenes_do_not_hold_is_told(builders, source, pairs):
    """Questions beyond the window, for sensors or for maps that nobody named end in a message that says what to set."""
    from pluto_devkit.scenario import NuPlanScenario  # noqa: PLC0415 -- the devkit may be absent

    ours = NuPlanScenario(source.load(pairs[0][0], Window(history_s=0.5, future_s=1.0, interval_s=0.05)))
    with pytest.raises(PlutoError, match="history_s"):
        list(ours.get_ego_past_trajectory(0, 2.0, 4))
    with pytest.raises(PlutoError, match="sensor"):
        ours.get_sensors_at_iteration(0)
    with pytest.raises(PlutoError, match="map_root"):
        _ = ours.map_api
    with pytest.raises(SampleError, match="future_s"):
        ours.get_ego_state_at_iteration(500)


def test_caches_are_the_devkits(tmp_path, builders, pairs):
    """What the devkit's own preprocessor stores is read by us, and what we store is read by it."""
    from nuplan.planning.training.preprocessing.feature_preprocessor import FeaturePreprocessor  # noqa: PLC0415
    from nuplan.planning.training.preprocessing.utils.feature_cache import FeatureCachePickle  # noqa: PLC0415

    built = builders.features(FeatureConfig(**FEATURES["agents"]), Context())
    target = builders.targets(TargetConfig(**TRAJECTORY), Context())
    stored = [*built._builders.values()], [*target._builders.values()]
    preprocessor = FeaturePreprocessor(str(tmp_path / "theirs"), False, *stored)  # noqa: FBT003
    for _, scenario in pairs[:3]:
        preprocessor.compute_features(scenario)
    entries = dict(gzip_cache.scan(tmp_path / "theirs"))
    assert list(entries.values()) == [frozenset({"agents", "trajectory"})] * 3
    kind = built._builders["agents"].get_feature_type()
    for entry in entries:
        data = gzip_cache.read(tmp_path / "theirs", entry, "agents")
        stem = gzip_cache.write(tmp_path / "ours", entry, "agents", data)
        again = FeatureCachePickle().load_computed_feature_from_folder(stem, kind)
        assert_same(again.serialize(), data)
    told = outcome(["cache", "import", str(tmp_path / "theirs"), "--to", str(tmp_path / "cache")])
    assert told == 0


def test_stock_model_trains(tmp_path, dataset, monkeypatch):
    """A stock vector model of the devkit trains two steps through our trainer, with its own builders, objective and metrics."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    models, training = "nuplan.planning.training.modeling.models", "nuplan.planning.training.modeling"
    (tmp_path / "simple.toml").write_text(f"""
name = "simple"
output_dir = "{tmp_path}/runs"
[source]
use = "nuplan"
data_root = "{dataset.data_root}"
map_root = "{dataset.map_root}"
[filter]
limit_total_scenarios = 12
[cache]
path = "{tmp_path}/cache"
[splitter]
use = "nuplan_logs"
[model]
use = "devkit"
model = "{models}.simple_vector_map_model:VectorMapSimpleMLP"
map_root = "{dataset.map_root}"
horizon_s = 2.0
[model.arguments]
num_output_features = 12
hidden_size = 32
vector_map_feature_radius = 20
past_trajectory_sampling = {{ _target_ = "{SAMPLING}", num_poses = 4, time_horizon = 1.5 }}
future_trajectory_sampling = {{ _target_ = "{SAMPLING}", num_poses = 4, time_horizon = 2.0 }}
[objective]
use = "devkit"
objective_aggregate_mode = "sum"
metrics = [{{ _target_ = "{training}.metrics.planning_metrics.AverageDisplacementError" }}]
[[objective.objectives]]
_target_ = "{training}.objectives.imitation_objective.ImitationObjective"
scenario_type_loss_weighting = {{ unknown = 1.0 }}
[loader]
batch_size = 2
[trainer]
max_steps = 2
epochs = 1
accelerator = "cpu"
""")
    assert outcome(["run", str(tmp_path / "simple.toml"), "--no-progress", "--only", "cache,train"]) == 0
    results = json.loads((tmp_path / "runs" / "001" / "results.json").read_text())
    curves = json.dumps(results)
    assert "imitation_objective" in curves
    assert "avg_displacement_error" in curves


def test_imported_caches_train(tmp_path, builders, pairs, local_plugins, monkeypatch):
    """A cache that the devkit wrote is imported, and its model trains on it without dataset, maps or builders."""
    from nuplan.planning.training.preprocessing.feature_preprocessor import FeaturePreprocessor  # noqa: PLC0415

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    built = builders.features(FeatureConfig(**FEATURES["agents"]), Context())
    target = builders.targets(TargetConfig(**TRAJECTORY), Context())
    preprocessor = FeaturePreprocessor(
        str(tmp_path / "theirs"),
        False,  # noqa: FBT003 -- the devkit's own signature
        [*built._builders.values()],
        [*target._builders.values()],
    )
    for _, scenario in pairs:
        preprocessor.compute_features(scenario)
    assert outcome(["cache", "import", str(tmp_path / "theirs"), "--to", str(tmp_path / "cache")]) == 0
    (tmp_path / "old.toml").write_text(f"""
name = "old"
steps = ["train", "validate"]
output_dir = "{tmp_path}/runs"
targets = []
[[features]]
use = "devkit_imported"
truth_steps = 4
[cache]
path = "{tmp_path}/cache"
only = true
[splitter]
use = "nuplan_logs"
[model]
use = "devkit"
model = "devkit_toys:SmallModel"
horizon_s = 2.0
[objective]
use = "devkit"
[[objective.objectives]]
_target_ = "nuplan.planning.training.modeling.objectives.imitation_objective.ImitationObjective"
scenario_type_loss_weighting = {{ unknown = 1.0 }}
[loader]
batch_size = 4
[trainer]
max_steps = 2
epochs = 1
accelerator = "cpu"
""")
    assert outcome(["run", str(tmp_path / "old.toml"), "--no-progress"]) == 0


def test_worked_example(tmp_path, dataset, repository, monkeypatch):
    """The two files of docs/coming-from-nuplan-devkit.md work as they stand: ten lines of TOML, and ragged lists come back."""
    page = (repository / "docs" / "coming-from-nuplan-devkit.md").read_text()
    builder = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "GapsBuilder" in block)
    experiment = next(block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "GapsBuilder" in block)
    assert len(experiment.splitlines()) == 10
    (tmp_path / "gaps.py").write_text(builder)
    (tmp_path / "gaps.toml").write_text(experiment)
    for name, value in {"DATA_ROOT": dataset.data_root, "MAPS_ROOT": dataset.map_root}.items():
        monkeypatch.setenv(f"NUPLAN_{name}", str(value))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    limits = ["--set", "filter.limit_total_scenarios=6", "--set", f'cache.path="{tmp_path}/cache"']
    assert outcome(["run", "gaps.toml", "--no-progress", *limits]) == 0
    reader = cache_at(tmp_path / "cache", Catalogue.load(environment={})).reader()
    gaps = features_in(reader.get_many([reader.keys.array[0].decode()])[0])["gaps"]["distances"]
    assert len(gaps) == 4
    assert all(frame.ndim == 1 and (frame >= 0).all() for frame in gaps)


def json_like(tree):
    """A tree as it comes back from a cache: tensors as arrays."""
    sample = trees.encode("x", tree)
    return trees.decode({key.partition("/")[2]: array for key, array in sample.items()})


def _rounded(tree):
    """A tree with floats to six digits, so that the last bit of a sine does not matter."""
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(value) for value in tree]
    return np.round(tree, 5) + 0.0 if isinstance(tree, np.ndarray) and tree.dtype.kind == "f" else tree


def _ways(frame):
    """The predicted waypoints of the objects of a frame, by track; those that are not there are left out."""
    return {
        one.track_token: [[*way] for way in one.predictions[0].valid_waypoints] if one.predictions else []
        for one in frame.tracked_objects.get_agents()
    }


def _agents(frame):
    """The moving objects of a frame, in no order."""
    return sorted(
        (one.track_token, one.metadata.timestamp_us, round(one.center.x, 6), round(one.center.y, 6), round(one.velocity.x, 6))
        for one in frame.tracked_objects.get_agents()
    )
