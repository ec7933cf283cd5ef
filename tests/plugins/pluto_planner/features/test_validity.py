"""What is refused when a sample is built, and when a stored one is checked; always with a reason from the closed list."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from pluto_core.errors import Reason, SampleError
from pluto_core.pipeline import codec
from pluto_core.scene import Scene, Window
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

Sample = dict[str, np.ndarray]


def _builder(**settings: object) -> PlutoFeatures:
    return PlutoFeatures(PlutoFeaturesConfig(**{"cost_map": "none"} | settings))


def test_what_is_built_passes_again_when_loaded(town: list[Scene]) -> None:
    """Samples of every form pass, also after they were encoded and decoded."""
    for settings in ({"cost_map": "map"}, {"parity": True}, {"future_horizon": 0.0}, {"build_reference_line": False}):
        builder = _builder(**settings)
        for scene in town:
            sample = builder.build(scene.narrow(builder.window))
            builder.check(sample)
            builder.check(codec.decode(codec.encode(sample, builder.spec, "default")))


def _with(key: str, change: Callable[[np.ndarray], None]) -> Callable[[Sample], None]:
    def damage(sample: Sample) -> None:
        sample[key] = sample[key].copy()
        change(sample[key])

    return damage


def _fill(value: float) -> Callable[[np.ndarray], None]:
    return lambda array: array.fill(value)


def _first(value: float) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[0] = value

    return change


def _without_polygons(sample: Sample) -> None:
    for key in sample:
        if key.startswith("map/") or key == "causal/ego_care_red_light_mask":
            sample[key] = sample[key][:0]


DAMAGES = {
    "no line": (_with("reference_line/valid_mask", _fill(0)), Reason.NO_REFERENCE_LINE),
    "ego vehicle not there": (_with("agent/valid_mask", _first(0)), Reason.PRESENT_MISSING),
    "no map": (_without_polygons, Reason.BROKEN_MAP),
    "NaN": (_with("agent/heading", _first(np.nan)), Reason.NOT_FINITE),
    "infinite": (_with("map/point_position", _first(np.inf)), Reason.NOT_FINITE),
    "infinite cost map": (_with("cost_maps", _first(-np.inf)), Reason.NOT_FINITE),
    "far": (_with("agent/position", _first(-2e4)), Reason.OUT_OF_RANGE),
    "fast": (_with("agent/velocity", _first(151.0)), Reason.OUT_OF_RANGE),
    "huge": (_with("agent/shape", _first(500.0)), Reason.OUT_OF_RANGE),
    "limit": (_with("map/polygon_speed_limit", _first(1e3)), Reason.OUT_OF_RANGE),
    "category": (_with("agent/category", _first(4)), Reason.OUT_OF_RANGE),
    "light": (_with("map/polygon_tl_status", _first(-1)), Reason.OUT_OF_RANGE),
    "lacking": (lambda sample: sample.pop("origin"), Reason.SPEC_MISMATCH),
    "one more": (lambda sample: sample.update(spare=np.zeros(1)), Reason.SPEC_MISMATCH),
    "other steps": (lambda sample: sample.update({"agent/heading": sample["agent/heading"][:, :50]}), Reason.SPEC_MISMATCH),
    "other agents": (lambda sample: sample.update({"agent/heading": sample["agent/heading"][:1]}), Reason.SPEC_MISMATCH),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_samples_are_refused(town: list[Scene], damage: str) -> None:
    """Each kind of damage has its reason; the message names the array or what is missing."""
    builder = _builder(cost_map="map", cost_map_size_px=20)
    sample = dict(builder.build(town[0]))
    harm, reason = DAMAGES[damage]
    harm(sample)
    with pytest.raises(SampleError) as refused:
        builder.check(sample)
    assert refused.value.reason is reason
    assert refused.value.detail


def test_far_and_fast_cells_count_where_they_are_valid(world: SimpleNamespace) -> None:
    """In parity invalid steps hold the far origin of the map; that is no reason to refuse a sample."""
    seen = np.zeros(101, np.bool_)
    seen[20] = True
    tracks = world.make_tracks([{"position": (20.0, 0.0), "valid": seen}])
    scene = world.moved(world.make_scene(world.straight_road(), [11], tracks=tracks), shift=(6e5, 4e6))
    sample = world.build(scene, parity=True)
    assert np.abs(sample["agent/position"]).max() > 1e6
    _builder(parity=True).check(sample)


def test_build_refuses_what_check_refuses(world: SimpleNamespace) -> None:
    """A car of 300 m, one at 900 m/s and a map without polygons are refused when they are built."""
    road = world.straight_road()
    for track in ({"size": (3.0, 300.0)}, {"velocity": (900.0, 0.0)}):
        with pytest.raises(SampleError) as refused:
            world.build(world.make_scene(road, [11], tracks=world.make_tracks([{"position": (20.0, 0.0), **track}])))
        assert refused.value.reason is Reason.OUT_OF_RANGE
    with pytest.raises(SampleError) as refused:
        world.build(world.make_scene(world.make_map([]), [11]), build_reference_line=False)
    assert refused.value.reason is Reason.BROKEN_MAP


def test_no_cost_map_is_paid_for_what_is_refused(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene without a reference line is refused before its cost map and its causal keys are made."""

    def unwanted(*_: object) -> None:
        raise AssertionError

    for name in ("_cost_map", "_causal"):
        monkeypatch.setattr(PlutoFeatures, name, unwanted)
    with pytest.raises(SampleError):
        world.build(world.make_scene(world.straight_road(), []), cost_map="map")
    assert world.build(
        world.make_scene(world.straight_road(), [11]).narrow(Window(history_s=2.0)), future_horizon=0.0, cost_map="map"
    )
