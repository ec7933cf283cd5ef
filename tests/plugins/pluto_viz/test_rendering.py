import io
import json

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from pluto_core import api
from pluto_core.scene import ScenarioId
from pluto_core.sketch import Role
from pluto_viz.choosing import apart
from pluto_viz.moving import gif, movie
from pluto_viz.palette import DARK, LIGHT
from pluto_viz.scenario import figure
from pluto_viz.scenes import sketch_of


def seen(path, color):
    """Return how many pixels of a picture have a colour, but for rounding."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.float64) / 255
    return int((np.abs(pixels - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


def size(path):
    with Image.open(path) as picture:
        return picture.size


def test_an_experiment_is_drawn_from_its_dataset(world, pluto_here, tmp_path):
    """One scenario as PNG in `pictures`, on light paper, with ego and truth; the terminal says which and where."""
    code, out, _ = pluto_here("render", world.experiment)
    assert code == 0
    (path,) = (tmp_path / "pictures").iterdir()
    assert path.suffix == ".png"
    assert out.startswith(f"pictures/{path.name}  ")
    for role in (Role.EGO, Role.FUTURE):
        assert seen(path, LIGHT.styles[role].color) > 50, role
    assert seen(path, LIGHT.styles[Role.PLAN].color) == 0


def test_a_run_is_drawn_with_its_plans(world, pluto_here, tmp_path):
    """The worst scenario of a run shows what was planned; `--json` names file and token; `--dark` is dark."""
    code, out, _ = pluto_here("render", world.run, "--pick", "worst", "--dark", "--out", "worst.png", "--json")
    assert code == 0
    (made,) = json.loads(out)["pictures"]
    scenarios = api.scenarios(world.run)
    assert made["path"] == "worst.png"
    assert made["tokens"] == [scenarios.listing.id(int(scenarios.ranked()[-1])).token]
    assert seen(tmp_path / "worst.png", DARK.styles[Role.PLAN].color) > 50
    assert seen(tmp_path / "worst.png", DARK.paper) > 1000


def test_a_cache_is_drawn_without_experiment_and_dataset(world, pluto_here, tmp_path):
    """The folder of a cache is enough for a contact sheet."""
    code, out, _ = pluto_here("render", world.cache, "--sheet", "--count", 5, "--out", "sheet.png")
    assert code == 0
    assert out == "sheet.png  5 scenarios\n"
    width, height = size(tmp_path / "sheet.png")
    assert width > 900
    assert height > 700


@pytest.mark.slow
def test_several_processes_paint_the_same(world, pluto_here, tmp_path):
    """With `--workers` the files are the same, byte for byte, and are told in the same order."""
    told = []
    for number, workers in enumerate((1, 2)):
        code, out, _ = pluto_here("render", world.cache, "--count", 3, "--workers", workers, "--out", f"out{number}")
        assert code == 0
        told.append(out.replace(f"out{number}/", ""))
    assert told[0] == told[1]
    made = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("out0", "out1")]
    assert made[0] == made[1]
    assert len(made[0]) == 3


@pytest.mark.slow
def test_a_moving_picture_is_a_gif(world, pluto_here, tmp_path):
    """`--gif` writes a picture that repeats, with a frame for every fifth of a second of past and future."""
    code, _, _ = pluto_here("render", world.run, "--gif", "--out", "a.gif")
    assert code == 0
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0
        assert picture.n_frames == 51


def test_a_moving_picture_moves(world):
    """The ego drives on from frame to frame, in its own colour, and the file can be read again."""
    drawing = api.scenarios(world.run).drawing(0)
    frames = movie(drawing.sketch, drawing.plan, size_in=2.5, dpi=60)
    assert len(frames) == 51
    ego = np.asarray(matplotlib.colors.to_rgb(LIGHT.styles[Role.EGO].color))
    places = []
    with Image.open(io.BytesIO(gif([frames[0], frames[15], frames[25]]))) as picture:
        for number in range(3):
            picture.seek(number)
            pixels = np.asarray(picture.convert("RGB"), np.float64) / 255
            rows, columns = np.nonzero(np.abs(pixels - ego).max(axis=-1) < 0.05)
            inside = rows < 0.65 * pixels.shape[0]  # the rest is the legend
            places.append(columns[inside].mean())
    assert places[0] < places[1] - 3 < places[2] - 6


def test_augmentations_stand_side_by_side(world, pluto_here, tmp_path):
    """Every role of every augmentation has its drawing; without augmentations the command says what is missing."""
    setting = 'augmentations=[{use="contrastive"}]'
    code, _, err = pluto_here("render", world.experiment, "--augment", "--set", setting, "--out", "a.png")
    assert code == 0, err
    width, height = size(tmp_path / "a.png")
    assert width > 2 * height
    code, _, err = pluto_here("render", world.experiment, "--augment")
    assert code == 1
    assert err == "error: there are no augmentations: name an experiment that has [[augmentations]]\n"


def test_variants_are_those_of_training(world):
    """The same epoch gives the same variants, another epoch others; the roles are the augmentation's."""
    scenarios = api.scenarios(world.experiment, {"augmentations": [{"use": "ego_noise"}]})
    found = [scenarios.variants(0, epoch)[0] for epoch in (0, 0, *range(1, 12))]
    ways = [np.concatenate([line.points for line in one.sketch.lines]) for one in found]
    assert {one.role for one in found} == {"anchor"}
    assert np.array_equal(ways[0], ways[1])
    assert any(way.shape != ways[0].shape or not np.array_equal(way, ways[0]) for way in ways)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--token", "nope"], "there is no scenario whose token begins with 'nope', of 10"),
        (["--pick", "worst"], "only the scenarios of a run with predictions are better or worse than others"),
        (["--type", "flying"], "--type flying: there are scenarios of "),
        (["--gif", "--out", "a.png"], "--out a.png: the picture is a GIF; give it the ending .gif"),
        (["--count", "2", "--out", "a.png"], "--out a.png: there are several pictures; name a folder"),
        (["--sheet", "--gif"], "--sheet and --gif do not go together"),
        (["--part", "val"], "only a run has parts"),
    ],
)
def test_mistakes_are_one_line(world, pluto_here, arguments, message):
    """What cannot be drawn is told in one line, and nothing is written."""
    code, out, err = pluto_here("render", world.experiment, *arguments)
    assert code == 1
    assert out == ""
    assert message in err.splitlines()[-1]


def test_a_folder_that_is_neither_run_nor_cache(pluto_here, tmp_path):
    """The message says what was looked for."""
    code, _, err = pluto_here("render", tmp_path)
    assert code == 1
    assert "is no run (it has no run.toml) and no cache (it has no manifest.json)" in err


def test_a_scene_is_a_sketch_without_any_builder(world):
    """What the dataset says has a map, the ego with its way, others, and tracks that go with the boxes."""
    scenarios = api.scenarios(world.experiment)
    scene = scenarios.scene(0)
    sketch = sketch_of(scene)
    roles = {line.role for line in sketch.lines}
    assert {Role.BOUNDARY, Role.LANE, Role.HISTORY, Role.FUTURE} <= roles
    assert Role.LANE in {area.role for area in sketch.areas}
    (ego,) = (box for box in sketch.boxes if box.role is Role.EGO)
    assert np.allclose(ego.center, [scene.ego.vehicle.center_from_rear_axle_m, 0.0], atol=1e-6)
    assert abs(ego.heading_rad) < 1e-9
    assert len(sketch.tracks) == 1 + scene.tracks.valid.any(axis=1).sum()
    assert sketch.present == scene.present
    frames = movie(sketch, size_in=3.0, dpi=50)
    assert len(frames) == 1 + (scene.window.steps - 1) // 2


def test_builders_and_scenes_draw_the_same_ego_way(world):
    """The truth in a builder's sketch is the way in the scene's."""
    scenarios = api.scenarios(world.experiment)
    ways = []
    for sketch in (scenarios.drawing(0).sketch, sketch_of(scenarios.scene(0))):
        own = [line.points for line in sketch.lines if line.role is Role.FUTURE and np.hypot(*line.points[0]) < 0.1]
        ways.append(max(own, key=len)[-1])
    assert np.allclose(*ways, atol=1e-3)


def test_tracks_stand_where_the_boxes_are(world):
    """At time zero everybody's track is at its box, for builders and for scenes."""
    scenarios = api.scenarios(world.experiment)
    for sketch in (scenarios.drawing(0).sketch, sketch_of(scenarios.scene(0))):
        moving = [track for track in sketch.tracks if track.valid[sketch.present]]
        boxes = [box for box in sketch.boxes if box.role is not Role.STATIC]
        assert len(moving) == len(boxes) > 0
        for track, box in zip(moving, boxes, strict=True):
            assert np.allclose(track.positions[sketch.present], box.center, atol=1e-6)
            assert (track.role, track.length_m, track.width_m) == (box.role, box.length_m, box.width_m)


def test_notebooks_show_a_picture(world):
    """What `figure` gives is PNG where a notebook asks."""
    drawing = api.scenarios(world.run).drawing(0)
    assert figure(drawing.sketch, drawing.plan)._repr_png_().startswith(b"\x89PNG")


def test_neighbours_in_time_are_shown_once():
    """Of scenarios of one log that look alike the first in order is kept; other logs do not matter."""
    places = zip("aabaa", (0, 3, 4, 5, 9), strict=True)
    ids = [ScenarioId(log, str(number), int(1e6 * second)) for number, (log, second) in enumerate(places)]
    assert apart(enumerate(ids)) == [0, 2, 3]
    assert apart(reversed(list(enumerate(ids)))) == [4, 2, 1]
