"""The whole builder in poor, crowded and standing scenes, and with other spans, steps and rasters than the default's."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest

from pluto_core import samples
from pluto_core.scene import LightStatus, Scene, Window
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures


def _whole(world: SimpleNamespace, scene: Scene, **settings: object) -> dict[str, np.ndarray]:
    """Return the sample of a scene, after proving that it is what the spec says, in both modes."""
    for parity in (True, False):
        builder = PlutoFeatures(PlutoFeaturesConfig(**{"cost_map": "map", "parity": parity} | settings))
        sample = builder.build(scene.narrow(builder.window))
        samples.check(sample, builder.spec)
    return sample


def test_nobody_else_is_there(world: SimpleNamespace) -> None:
    """Without tracks, static objects and lights every array is there with no rows but the ego vehicle's."""
    sample = _whole(world, world.make_scene(world.straight_road(), [11]))
    assert sample["agent/category"].tolist() == [0]
    assert sample["causal/interaction_label"].tolist() == [0.0]
    assert sample["static_objects/position"].shape == (0, 2)
    assert (sample["map/polygon_tl_status"] == LightStatus.UNKNOWN).all()


@pytest.mark.parametrize("settings", [{"max_agents": 0}, {"disable_agent": True}])
def test_agents_can_be_left_out(world: SimpleNamespace, town: list[Scene], settings: dict[str, object]) -> None:
    """With none to keep, all that concerns agents has one row, and the rest is as it was."""
    for scene in town[:3]:
        sample, with_agents = _whole(world, scene, **settings), world.build(scene)
        assert len(sample["agent/position"]) == 1
        for key in sample.keys() - {"cost_maps", "causal/free_path_points"}:  # parked agents block cells, leading ones the path
            alike = key.startswith(("agent/", "causal/")) and sample[key].ndim and with_agents[key].shape != sample[key].shape
            assert np.array_equal(sample[key], with_agents[key][:1] if alike else with_agents[key]), key


def test_three_hundred_objects(world: SimpleNamespace) -> None:
    """A crowd of 300 keeps the nearest, or all that are asked for."""
    rng = np.random.default_rng(2)
    rows = [
        {"position": 60 * rng.normal(size=2) + np.cumsum(rng.normal(size=(101, 2)), axis=0), "category": index % 3}
        for index in range(300)
    ]
    static = world.make_static([(3 + index % 4, *(40 * rng.normal(size=2))) for index in range(300)])
    scene = world.make_scene(world.straight_road(), [11], tracks=world.make_tracks(rows), static_objects=static)
    assert len(_whole(world, scene)["agent/category"]) == 49
    everyone = _whole(world, scene, max_agents=1000)
    assert len(everyone["agent/category"]) == 301
    assert np.array_equal(everyone["agent/position"][:49], world.build(scene)["agent/position"])


def test_standing_ego_vehicle(world: SimpleNamespace, town: list[Scene]) -> None:
    """Where nothing moves, state and target are zero but for rounding, and lines and map are those of the same place."""
    standing = world.make_scene(world.straight_road(), [11], ego=world.driving(speed_mps=0.0))
    sample = _whole(world, standing)
    assert not sample["current_state"].any()
    assert not sample["agent/target"].any()
    assert np.ptp(sample["reference_line/future_projection"][0, :, 0]) == 0.0
    for key, array in world.build(world.make_scene(world.straight_road(), [11])).items():
        if key.startswith("map/") or (key.startswith("reference_line/") and key != "reference_line/future_projection"):
            assert np.array_equal(array, sample[key]), key
    noisy = attrs.evolve(town[0].ego, velocity=np.zeros_like(town[0].ego.velocity))
    assert np.array_equal(world.build(attrs.evolve(town[0], ego=noisy))["current_state"][5:], [0.0, 0.0])


@pytest.mark.parametrize(("first", "last"), [(20, 101), (0, 21), (20, 21)])
def test_only_the_present_is_known(world: SimpleNamespace, town: list[Scene], first: int, last: int) -> None:
    """With past, future or both missing for everybody, what is known stays and the rest is invalid zeros."""
    for scene in town[:3]:
        known = np.zeros(101, np.bool_)
        known[first:last] = True
        ego = attrs.evolve(scene.ego, valid=scene.ego.valid & known)
        sample = _whole(
            world, attrs.evolve(scene, ego=ego, tracks=attrs.evolve(scene.tracks, valid=scene.tracks.valid & known))
        )
        whole = world.build(scene)
        assert not sample["agent/valid_mask"][:, ~known].any()
        assert not sample["agent/position"][:, ~known].any()
        assert np.array_equal(sample["agent/position"][:, 20], whole["agent/position"][:, 20])
        assert np.array_equal(sample["map/point_position"], whole["map/point_position"])
        if last == 21:
            assert not sample["agent/target"].any()
            assert not sample["causal/interaction_label"].any()


def test_other_steps_and_horizons(world: SimpleNamespace, town: list[Scene]) -> None:
    """Every second step of the same scene, over other spans, with a raster of another size and grain."""
    window = Window(history_s=1.0, future_s=6.0, interval_s=0.2)
    sizes = {"cost_map": "map", "cost_map_size_px": 100, "cost_map_resolution_m": 0.5, "radius": 50.0}
    spans = {"history_horizon": 1.0, "future_horizon": 6.0, "sample_interval": 0.2}
    sample, whole = world.build(town[0].narrow(window), **spans, **sizes), world.build(town[0], cost_map="map")
    assert np.array_equal(sample["agent/position"][0], whole["agent/position"][0, 10:81:2])
    assert sample["cost_maps"].shape == (100, 100, 1)
    fine, coarse = (one["cost_maps"][..., 0].astype(float) for one in (whole, sample))
    assert np.mean((coarse > 0) == (fine[175:425, 175:425][np.ix_(*2 * [np.arange(100) * 5 // 2])] > 0)) > 0.97
    assert len(sample["map/polygon_type"]) < len(whole["map/polygon_type"])
    assert sample["reference_line/future_projection"][0, :6] == pytest.approx(
        whole["reference_line/future_projection"][0, :6], abs=1e-5
    )
