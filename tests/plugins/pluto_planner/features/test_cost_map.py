"""Cost map: a road of known width, what stands on it, and the transform itself."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from pluto_core.scene import Category
from pluto_planner.features.cost_map import signed_distance
from pluto_planner.features.normalise import normalise, within_radius


def _map(world: SimpleNamespace, angle: float = 0.0, **parts: object) -> np.ndarray:
    lane = world.RoadLane(id=1, line=world.straight(-200.0, 200.0), block=11, width_m=10.0)
    scene = world.make_scene(world.make_map([lane]), [11], **parts)
    return world.build(world.moved(scene, angle), cost_map="map")["cost_maps"][..., 0].astype(np.float64)


def _at(raster: np.ndarray, x: float, y: float) -> float:
    """Return the cell of a point in the ego frame."""
    return float(raster[round(300 - 5 * y), round(300 + 5 * x)])


def test_a_road_along_the_axis(world: SimpleNamespace) -> None:
    """5 m to the edge on the axis, 0.2 m outside beyond it, the same at any turn up to a pixel."""
    raster = _map(world)
    assert _at(raster, 0.0, 0.0) == pytest.approx(5.0, abs=0.21)
    assert _at(raster, 10.0, 5.2) == pytest.approx(-0.2, abs=0.01)
    assert _at(raster, 10.0, 4.0) == pytest.approx(1.0, abs=0.21)
    assert np.array_equal(_map(world, np.pi / 2), raster)
    # Near the border lanes that lie only in the corners could differ.
    assert np.abs(_map(world, 0.7) - raster)[50:550, 50:550].max() <= 0.45


def test_what_stands_there_is_not_free(world: SimpleNamespace) -> None:
    """Static objects and parked agents are holes in the road; a moving car, or one seen too briefly, is none."""
    brief = np.zeros(101, np.bool_)
    brief[10:40] = True
    along = np.stack([30.0 + np.arange(101), np.full(101, -3.0)], axis=1)
    rows = [{"position": (20.0, 3.0)}, {"position": along}, {"position": (40.0, 3.0), "valid": brief}]
    static = world.make_static([(int(Category.BARRIER), 30.0, 3.0)])
    raster = _map(world, tracks=world.make_tracks(rows), static_objects=static)
    assert _at(raster, 10.0, 3.0) < 0
    assert _at(raster, 20.0, 3.0) < 0
    assert _at(raster, 30.0, 3.0) > 0
    assert _at(raster, 40.0, -3.0) > 0


def test_mask_and_map_agree(world: SimpleNamespace) -> None:
    """The mask is where the map is positive; without a cost map there is neither."""
    lane = world.RoadLane(id=1, line=world.straight(-200.0, 200.0), block=11)
    scene = world.make_scene(world.make_map([lane]), [11])
    mask, raster = world.build(scene, cost_map="mask")["cost_mask"], world.build(scene, cost_map="map")["cost_maps"]
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, raster > 0)
    assert not {"cost_mask", "cost_maps"} & world.build(scene).keys()


def test_a_world_of_road_and_one_without(world: SimpleNamespace) -> None:
    """A raster all free or all blocked holds one distance, and in parity the phantom that scipy measures to (D-17)."""
    wide = world.RoadLane(id=1, line=world.straight(-300.0, 300.0), block=11, width_m=400.0)
    inside = world.build(world.make_scene(world.make_map([wide]), [11]), cost_map="map")["cost_maps"]
    assert (inside == np.float16(0.2 * 600 * np.sqrt(2))).all()
    assert (signed_distance(np.zeros((30, 40), np.uint8), 0.2) == np.float16(-10.0)).all()
    phantom = signed_distance(np.ones((3, 3), np.uint8), 1.0, parity=True)
    assert np.allclose(phantom, [[1, 1.41, 2.24], [2, 2.24, 2.83], [3, 3.16, 3.61]], atol=0.01)


@settings(max_examples=40)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(2, 24), st.integers(2, 24)), elements=st.integers(0, 1)))
def test_distances_are_exact(mask: np.ndarray) -> None:
    """Every cell equals the exact transform in float16."""
    if mask.all() or not mask.any():
        return
    exact = 0.2 * (ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(1 - mask))
    assert np.array_equal(signed_distance(mask, 0.2), exact.astype(np.float16))


def test_normalising_twice_is_normalising_once(world: SimpleNamespace) -> None:
    """A normalised sample is in its own frame already; the sample that is given is left as it is."""
    sample = world.build(world.make_scene(world.fork(), [11, 31, 12]))
    before = {key: array.copy() for key, array in sample.items()}
    again = normalise(sample)
    for key, array in sample.items():
        assert np.allclose(again[key], array, atol=1e-6), key
        assert np.array_equal(array, before[key])
    assert within_radius(again, 120.0)["map/valid_mask"].shape == sample["map/valid_mask"].shape


@pytest.mark.parametrize("value", [0, 1])
def test_the_phantom_is_scipys(value: int) -> None:
    """In parity a mask of one kind holds what scipy returns for it, bit by bit."""
    mask = np.full((60, 50), value, np.uint8)
    theirs = 0.2 * (ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(1 - mask))
    assert np.array_equal(signed_distance(mask, 0.2, parity=True), theirs.astype(np.float16))
