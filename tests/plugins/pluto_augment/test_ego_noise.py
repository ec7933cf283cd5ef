import numpy as np
import pytest
import shapely

from pluto_augment.config import EgoNoiseConfig
from pluto_augment.ego_noise import EgoNoise, bent
from pluto_core.geometry import rotation
from pluto_planner.features.boxes import polygons

POSE = np.array([0.8, -0.6, 0.2])


def vary(sample, seed=0, epoch=0, **settings):
    """Return the sample with noise, and the pose that it was drawn to, in the old frame."""
    found = EgoNoise(EgoNoiseConfig(**{"probability": 1.0} | settings)).augment(sample, np.random.default_rng(seed), epoch)
    assert found.keys() == {"anchor"}
    varied = found["anchor"]
    angle = float(varied["angle"] - sample["angle"])
    place = (varied["origin"] - sample["origin"]) @ rotation(float(sample["angle"]))
    return varied, np.array([*place, angle])


@pytest.mark.parametrize(
    ("settings", "mean", "spread"),
    [
        ({}, (1.0, 0.0, 0.0), (1.0, 1.0, 0.5)),
        (
            {"distribution": "uniform", "low": (-1.0, 0.0, -0.1), "high": (1.0, 2.0, 0.1)},
            (0.0, 1.0, 0.0),
            (0.577, 0.577, 0.0577),
        ),
    ],
    ids=["gaussian", "uniform"],
)
def test_poses_are_drawn_as_told(made, settings, mean, spread):
    """Mean and spread of the poses are those of the settings, where nothing is in the way."""
    bare = {key: array for key, array in made.alone.items() if not key.startswith(("static_objects", "cost_maps", "map"))}
    poses = np.array([vary(bare, seed, **settings)[1] for seed in range(300)])
    np.testing.assert_allclose(poses.mean(axis=0), mean, atol=0.2)
    np.testing.assert_allclose(poses.std(axis=0), spread, rtol=0.15)


def test_nothing_is_touched(made, world):
    """Wherever the ego vehicle is put, its box is clear of all others; where it cannot be moved it stays."""
    for seed in range(20):
        varied, _ = vary(made.other, seed)
        there = varied["agent/valid_mask"][:, world.now]
        center, heading, size = (
            varied[f"agent/{name}"][there, world.now].astype(float) for name in ("position", "heading", "shape")
        )
        center[0] = (1.461, 0.0)
        boxes = polygons(center, heading, size)
        assert not shapely.intersects(boxes[0], boxes[1:]).any()
    position = made.led["agent/position"].copy()
    position[1, world.now] = (1.5, 0.0)
    varied, pose = vary(made.led | {"agent/position": position})
    assert not pose.any()
    assert varied["map/point_position"] is made.led["map/point_position"]


def test_the_expert_leads_back(made, world):
    """Without a bend the recorded past and future stay where they are, seen from the new pose."""
    varied, pose = vary(made.led)
    valid = varied["agent/valid_mask"][0].copy()
    valid[world.now] = False
    wanted = (made.led["agent/position"][0] - pose[:2]) @ rotation(pose[2])
    np.testing.assert_allclose(varied["agent/position"][0, valid], wanted[valid], atol=1e-4)
    assert not varied["agent/position"][0, world.now].any()


@pytest.mark.parametrize("sides", [("history",), ("future",), ("history", "future")], ids="+".join)
def test_bends(made, world, sides):
    """A bent side begins in the new pose, ends on the recorded way, and its velocity is that of its positions."""
    config = EgoNoiseConfig(blend=sides, blend_s=1.0)
    found, old = bent(made.led, POSE, config), made.led
    moved = found["agent/position"][0].astype(float) - old["agent/position"][0]
    valid = old["agent/valid_mask"][0]
    np.testing.assert_allclose(moved[world.now], POSE[:2], atol=1e-6)
    np.testing.assert_allclose(found["agent/heading"][0, world.now], old["agent/heading"][0, world.now] + POSE[2], atol=1e-6)
    assert np.abs(moved[world.now + 50 :]).max() < 1e-5
    assert np.abs(moved[0]).max() < 0.14
    faster = found["agent/velocity"][0].astype(float) - old["agent/velocity"][0]
    parts = {"history": slice(0, world.now + 1), "future": slice(world.now, world.now + 40)}
    for side, part in parts.items():
        if side not in sides:
            rest = np.delete(np.arange(*part.indices(len(moved))), -1 if side == "history" else 0)
            assert not moved[rest].any()
        elif valid[part].all():
            slope = np.gradient(moved[part], 0.1, axis=0)
            np.testing.assert_allclose(faster[part][1:-1], slope[1:-1], atol=0.01)
    for key, array in found.items():
        np.testing.assert_array_equal(array[1:], old[key][1:])


def test_no_bend_copies_nothing(made):
    """Without a bend the agents' arrays are not touched before they are seen from the new pose."""
    assert bent(made.led, POSE, EgoNoiseConfig()) == {}


def test_probability_and_scale_ramp(made):
    """Both change over the epochs; a sample that was not drawn is as it was."""
    settings = {"final_scale": 3.0, "ramp_epochs": 4, "mean": (0.1, 0.0, 0.0), "std": (0.0, 0.0, 0.0)}
    assert [vary(made.alone, 0, epoch, **settings)[1][0] for epoch in (0, 2, 4, 9)] == pytest.approx([0.1, 0.2, 0.3, 0.3])
    settings = {"probability": 0.0, "final_probability": 1.0, "ramp_epochs": 2}
    shares = [np.mean([vary(made.alone, seed, epoch, **settings)[1].any() for seed in range(40)]) for epoch in range(3)]
    assert shares[0] == 0.0
    assert 0.2 < shares[1] < 0.8
    assert shares[2] == 1.0
    assert all(array is made.alone[key] for key, array in vary(made.alone, probability=0.0)[0].items())


@pytest.mark.parametrize("wrong", [{"low": (2.0, 0.0, 0.0)}, {"std": (1.0, -1.0, 0.0)}], ids=["low", "std"])
def test_bounds(wrong):
    """Bounds that cross and negative deviations are refused."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EgoNoiseConfig(**wrong)
