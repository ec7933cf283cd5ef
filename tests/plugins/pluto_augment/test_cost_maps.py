import numpy as np
import pytest

from pluto_augment import cost_maps

RNG = np.random.default_rng(0)


def smooth(size=600):
    """Return a smooth field as the builder would give it, half a metre a step at most."""
    row, column = np.indices((size, size))
    return (20 * np.sin(row / 40) * np.cos(column / 50)).astype(np.float16)[..., None]


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize(
    ("pose", "rows", "columns"),
    [((1.0, 0.0, 0.0), 0, 5), ((0.0, 0.6, 0.0), -3, 0), ((-0.4, -0.2, 0.0), 1, -2)],
    ids=["forward", "left", "back and right"],
)
def test_shift(pose, rows, columns, parity):
    """One metre forward moves what is ahead five columns nearer; 0.6 m to the left moves it three rows down."""
    field = smooth()
    found = cost_maps.moved({"cost_maps": field}, np.array(pose), 500, 0.2, parity=parity)["cost_maps"]
    wanted = field[50 + rows : 550 + rows, 50 + columns : 550 + columns]
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert found.dtype == np.float16


@pytest.mark.parametrize("parity", [False, True])
def test_turn(parity):
    """Turned to the left by 90 degrees, the ego vehicle has the wall that was ahead on its right."""
    field = np.full((600, 600, 1), 5.0, np.float16)
    field[:, 400:] = -5.0
    found = cost_maps.moved({"cost_maps": field}, np.array([0.0, 0.0, np.pi / 2]), 500, 0.2, parity=parity)["cost_maps"]
    assert (found[:345] == 5.0).all()
    assert (found[355:] == -5.0).all()


def test_any_pose_agrees_with_the_definition():
    """The value at a point of the new frame is that of the same place in the old one."""
    field = smooth()
    pose = np.array([0.7, -0.5, 0.3])
    found = cost_maps.moved({"cost_maps": field}, pose, 500, 0.2)["cost_maps"][..., 0]
    rows, columns = RNG.integers(60, 440, (2, 200))
    x, y = (columns - 250) * 0.2, -(rows - 250) * 0.2
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    old_column = (cos * x - sin * y + pose[0]) / 0.2 + 300
    old_row = 300 - (sin * x + cos * y + pose[1]) / 0.2
    wanted = 20 * np.sin(old_row / 40) * np.cos(old_column / 50)
    np.testing.assert_allclose(found[rows, columns], wanted, atol=0.03)


def test_outside_is_far_outside():
    """Where the map did not reach, the distance is -200 m."""
    field = np.ones((500, 500, 1), np.float16)
    found = cost_maps.moved({"cost_maps": field}, np.array([2.0, 0.0, 0.0]), 500, 0.2)["cost_maps"]
    assert (found[:, -10:] == cost_maps.OUTSIDE_M).all()
    assert (found[:, :-12] == 1).all()


def test_masks_stay_masks():
    """A drivable mask is moved as well, and is not drivable outside."""
    mask = np.ones((40, 40, 1), np.bool_)
    found = cost_maps.moved({"cost_mask": mask}, np.array([2.0, 0.0, 0.0]), 500, 0.2)["cost_mask"]
    assert found.dtype == np.bool_
    assert found.shape == (40, 40, 1)
    assert found[:, :29].all()
    assert not found[:, -10:].any()


def test_crop():
    """The middle of a large map, the whole of a small one, without copying."""
    for size, wanted in ((600, 500), (300, 300)):
        field = smooth(size)
        found = cost_maps.cropped({"cost_maps": field}, 500)["cost_maps"]
        assert found.shape == (wanted, wanted, 1)
        assert np.shares_memory(found, field)
        np.testing.assert_array_equal(found[wanted // 2, wanted // 2], field[size // 2, size // 2])
    assert cost_maps.cropped({}, 500) == {}


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 1.0, 300.0])
def test_half_precision_is_rounded_as_numpy_rounds(scale):
    """Moved maps are rounded to the nearest number of half precision: zeros, the smallest ones and steep ones too."""
    field = np.random.default_rng(0).normal(size=(50, 60)).astype(np.float32) * np.float32(scale)
    field[0, :3] = 0.0, -0.0, -200.0
    for one in (field, np.zeros_like(field)):
        half = np.empty(one.shape, np.float16)
        cost_maps._write(one, half)
        np.testing.assert_array_equal(half.view(np.uint16), one.astype(np.float16).view(np.uint16))


def test_every_half_is_the_number_that_numpy_reads(monkeypatch):
    """All numbers of half precision, those with signs and beyond all bounds too, by either way."""
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    for has_halves in {False, cost_maps._HAS_HALVES}:
        monkeypatch.setattr(cost_maps, "_HAS_HALVES", has_halves)
        np.testing.assert_array_equal(cost_maps._single(half), half.astype(np.float32))
        np.testing.assert_array_equal(np.signbit(cost_maps._single(half)[:128]), np.signbit(half[:128]))
