"""The whole builder: what must not change when the world moves, and what must hold in poor scenes."""

import pickle
from types import SimpleNamespace

import attrs
import numpy as np
import pytest

from pluto_core import samples
from pluto_core.component import Context
from pluto_core.errors import Reason, SampleError
from pluto_core.scene import Scene, Window
from pluto_planner import schema
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures, make
from pluto_planner.features.normalise import without_padding

QUARTER = np.pi / 2
GLOBAL_KEYS = {"origin", "angle"}
ANGLES = (
    "agent/heading",
    "map/point_orientation",
    "map/polygon_orientation",
    "reference_line/orientation",
    "static_objects/heading",
)


def _apart(first: dict[str, np.ndarray], second: dict[str, np.ndarray], leave: set[str] = GLOBAL_KEYS) -> dict[str, float]:
    """Return the keys whose arrays differ in shape (infinity) or by more than 2e-3, angles modulo a full turn."""
    apart = {}
    for key in first.keys() - leave:
        if first[key].shape != second[key].shape:
            apart[key] = np.inf
            continue
        difference = np.abs(first[key].astype(np.float64) - second[key].astype(np.float64))
        if key in ANGLES or key in {"map/polygon_center", "causal/free_path_points", "agent/target"}:
            angle = difference if key in ANGLES else difference[..., 2]
            angle[:] = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
        if difference.max(initial=0.0) > 2e-3:
            apart[key] = float(difference.max())
    return apart


def _without_crosswalks(sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a sample of parity with zeros in place of padding, and without what hangs on rounding.

    Crosswalks begin at the corner that GEOS chooses (D-7), labels at near ties (D-15).
    """
    kept = sample["map/polygon_type"] < 2
    cleared = without_padding(sample)
    for key in list(cleared):
        if key.startswith("map/") or key == "causal/ego_care_red_light_mask":
            cleared[key] = cleared[key][kept]
    del cleared["causal/interaction_label"]
    return cleared


def test_samples_are_what_the_spec_says(world: SimpleNamespace, town: list[Scene]) -> None:
    """Keys, dims and dtypes agree with the spec for live input and training, with and without cost map."""
    for settings in ({}, {"future_horizon": 0.0}, {"cost_map": "mask"}, {"build_reference_line": False}, {"parity": True}):
        config = PlutoFeaturesConfig(**{"cost_map": "map"} | settings)
        builder = make(config, Context())
        sample = builder.build(town[0].narrow(builder.window))
        samples.check(sample, schema.spec(config))
    assert world.build(town[0])["reference_line/valid_mask"].any()


def test_builder_survives_pickling(world: SimpleNamespace, town: list[Scene]) -> None:
    """A copy in another process gives the same sample."""
    builder = PlutoFeatures(PlutoFeaturesConfig(cost_map="none"))
    copied = pickle.loads(pickle.dumps(builder))  # noqa: S301 -- our own bytes
    assert not _apart(world.build(town[0]), copied.build(town[0]), leave=set())


def test_translation_changes_only_the_origin(world: SimpleNamespace, town: list[Scene]) -> None:
    """The world may lie anywhere."""
    for scene in town:
        far = world.moved(scene, shift=(-1024.0, 2048.0))
        assert not _apart(world.build(scene, cost_map="map"), world.build(far, cost_map="map"))
        here, there = (_without_crosswalks(world.build(one, parity=True)) for one in (scene, far))
        assert not _apart(here, there)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_change_nothing(world: SimpleNamespace, town: list[Scene], quarters: int) -> None:
    """In parity too: the square of the map query turns with the world, so every lane is there again."""
    for scene in town:
        turned = world.moved(scene, quarters * QUARTER)
        here, there = (_without_crosswalks(world.build(one, parity=True)) for one in (scene, turned))
        assert not _apart(here, there)
        assert not _apart(world.build(scene, cost_map="map"), world.build(turned, cost_map="map"), GLOBAL_KEYS | {"cost_maps"})


@pytest.mark.parametrize("angle", [0.4, 1.1, 2.5, -2.0])
def test_any_turn_changes_nothing_inside(world: SimpleNamespace, town: list[Scene], angle: float) -> None:
    """Polygons away from the border of the square, crosswalks included, agents, lines and labels do not know north."""
    for scene in (town[0], *town[2:]):  # in the second a lane ends at the border of the square in which lines begin
        here, there = world.build(scene, corner_query=True), world.build(world.moved(scene, angle), corner_query=True)
        assert not _apart(here, there)


def test_order_of_tracks_does_not_matter(world: SimpleNamespace, town: list[Scene]) -> None:
    """Agents stand by distance, whatever the order of the source."""
    rng = np.random.default_rng(0)
    for scene in town:
        order = rng.permutation(len(scene.tracks.token))
        arrays = {field.name: getattr(scene.tracks, field.name)[order] for field in attrs.fields(type(scene.tracks))}
        shuffled = attrs.evolve(scene, tracks=attrs.evolve(scene.tracks, **arrays))
        assert not _apart(world.build(scene, cost_map="map"), world.build(shuffled, cost_map="map"), leave=set())


@pytest.mark.parametrize("parity", [False, True])
def test_live_input_gives_the_first_steps(world: SimpleNamespace, town: list[Scene], *, parity: bool) -> None:
    """A scene of 21 frames gives the past and present of the sample with a future; only projections differ."""
    for scene in town:
        whole = world.build(scene, parity=parity)
        live = world.build(scene.narrow(Window(history_s=2.0)), future_horizon=0.0, parity=parity)
        assert live.keys() == {key for key in whole if not key.startswith("causal/")}
        assert live["agent/target"].shape[1] == 0
        assert not live["reference_line/future_projection"].any()
        for key in live.keys() - {"agent/target", "reference_line/future_projection"}:
            expected = whole[key][:, :21] if key.startswith("agent/") and key != "agent/category" else whole[key]
            assert np.array_equal(live[key], expected), key


def test_wider_scene_gives_the_same_sample(world: SimpleNamespace, town: list[Scene]) -> None:
    """The sample depends on the builder's own window only."""
    scene, window = town[0], Window(history_s=1.0, future_s=3.0)
    sample = world.build(scene.narrow(window), history_horizon=1.0, future_horizon=3.0)
    assert sample["agent/position"].shape[1] == 41
    assert np.allclose(sample["agent/position"][0], world.build(scene)["agent/position"][0, 10:51])


def test_empty_world_is_refused_with_a_reason(world: SimpleNamespace) -> None:
    """Without route or lanes at the ego vehicle there is no reference line, and the reason says which."""
    road = world.straight_road()
    cases = {
        Reason.NO_ROUTE: world.make_scene(road, []),
        Reason.NO_REFERENCE_LINE: world.make_scene(road, [11], ego=world.driving(y=60.0)),
        Reason.OUT_OF_RANGE: world.make_scene(
            road, [11], tracks=world.make_tracks([{"position": (20.0, 0.0), "velocity": (900, 0)}])
        ),
    }
    for reason, scene in cases.items():
        with pytest.raises(SampleError) as refused:
            world.build(scene)
        assert refused.value.reason is reason


def test_planner_at_the_wheel_gets_an_answer_anyway(world: SimpleNamespace) -> None:
    """Without route, agents and lines a sample is still built where it is asked for."""
    scene = world.make_scene(world.straight_road(), []).narrow(Window(history_s=2.0))
    sample = world.build(scene, require_reference_line=False, future_horizon=0.0)
    assert sample["reference_line/position"].shape == (0, 120, 2)
    assert sample["agent/position"].shape[0] == 1
    far = world.build(world.make_scene(world.straight_road(), [11], ego=world.driving(y=900.0)), require_reference_line=False)
    assert far["map/point_position"].shape == (0, 3, 20, 2)
    assert world.build(world.make_scene(world.make_map([]), []), require_reference_line=False)["map/polygon_type"].size == 0


def test_present_frame_is_required(world: SimpleNamespace) -> None:
    """A scene whose time zero was not recorded is refused."""
    ego = world.driving()
    ego.valid[20] = False
    with pytest.raises(SampleError) as refused:
        world.build(world.make_scene(world.straight_road(), [11], ego=ego))
    assert refused.value.reason is Reason.PRESENT_MISSING


def test_missing_past_and_future_are_masked(world: SimpleNamespace) -> None:
    """Frames before the log's begin and after its end are invalid zeros, and the present is where it was (D-1)."""
    ego = world.driving()
    ego.valid[:15] = False
    ego.valid[60:] = False
    sample = world.build(world.make_scene(world.straight_road(), [11], ego=ego))
    assert sample["agent/valid_mask"][0].sum() == 45
    assert not sample["agent/position"][0, :15].any()
    assert not sample["agent/target"][0, 39:].any()
    assert np.allclose(sample["agent/position"][0, 20], 0.0)
    assert not sample["reference_line/future_projection"][0, 4:].any()


def test_same_everywhere(world: SimpleNamespace, town: list[Scene]) -> None:
    """Arrays of the default are finite and zero where masks say that there is nothing, so that float16 can hold them (X-5)."""
    for scene in town:
        sample = world.build(scene, cost_map="map")
        for key, array in sample.items():
            assert np.isfinite(array.astype(np.float64)).all(), key
        assert np.abs(sample["agent/position"]).max() < 1000
        assert not sample["agent/velocity"][~sample["agent/valid_mask"]].any()


def test_sketch_draws_what_the_sample_holds(town: list[Scene]) -> None:
    """Reference lines, agents and the raster of a sample are in its sketch."""
    builder = PlutoFeatures(PlutoFeaturesConfig())
    sample = builder.build(town[0])
    sketch = builder.sketch(sample)
    roles = [line.role.name for line in sketch.lines]
    assert roles.count("REFERENCE_LINE") == len(sample["reference_line/position"])
    assert len(sketch.boxes) == sample["agent/valid_mask"][:, 20].sum() + len(sample["static_objects/heading"])
    assert sketch.raster is not None
    assert sketch.raster.extent_m == (-60.0, 60.0, -60.0, 60.0)
