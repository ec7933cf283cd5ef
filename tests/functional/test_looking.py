"""Looking at runs as users do: after a real training, on synthetic and on recorded data."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_report_comparison_and_pictures_of_real_runs(small: Path, run, pluto, tmp_path: Path, cache_home: Path) -> None:
    """Two trainings give a report, a comparison and pictures, also where runs and cache were moved together."""
    run(small, "--set", "trainer.epochs=1").ok()
    said = run(small, "--set", "trainer.epochs=1", "--set", "seed=1").ok()
    assert "look at it: pluto report runs/002" in said
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    here = {"cwd": tmp_path / "elsewhere", "env": {"PLUTO_CACHE_HOME": str(cache_home)}}
    listed = json.loads(pluto("runs", ".", "--json", **here).ok())["runs"]
    assert [one["name"] for one in listed] == ["small", "small"]
    assert all(one["metrics"]["planner"]["fde_top1_m"] > 0 for one in listed)
    pluto("report", "001", **here).ok()
    pluto("report", "001", "002", **here).ok()
    page, both = ((tmp_path / "elsewhere" / name).read_text("utf-8") for name in ("001/report.html", "compare-001-002.html"))
    assert page.count("<figure>") >= 2
    assert "the same, untrained" in page
    assert '<td class="code" data-value="seed">seed</td>' in both
    for text in (page, both):
        assert len(text) < 10e6
        assert str(tmp_path) not in text
    made = json.loads(pluto("render", "002", "--pick", "worst", "--gif", "--json", **here).ok())["pictures"]
    with Image.open(tmp_path / "elsewhere" / made[0]["path"]) as picture:
        assert picture.n_frames == 51


def test_recorded_data_is_drawn(shared_data: Path, pluto, tmp_path: Path) -> None:
    """A sensor log of Argoverse 2 gives a scene, a contact sheet, a moving picture and augmentations."""
    experiment = Path(__file__).resolve().parents[2] / "experiments" / "av2.toml"
    env = {"PLUTO_AV2_ROOT": str(shared_data / "av2")}
    for name, options in {
        "scene.png": ["--scene", "--dark"],
        "sheet.png": ["--sheet", "--count", 4],
        "moving.gif": ["--gif"],
        "augmented.png": ["--augment", "--set", 'augmentations=[{use="contrastive"}]'],
    }.items():
        pluto("render", experiment, *options, "--out", tmp_path / name, env=env).ok()
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 300
