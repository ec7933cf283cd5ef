import re
import shutil

import pytest

from pluto_core import api
from pluto_viz.report.record import flat
from pluto_viz.report.verdicts import from_scenarios, from_table
from pluto_viz.report.writing import write


@pytest.fixture(scope="module")
def page(world, tmp_path_factory):
    """Return the report of the first run."""
    path = tmp_path_factory.mktemp("report") / "a.html"
    write(world.run, None, path, count=1, modules=(), without=(), note=lambda _text: None)
    return path.read_text(encoding="utf-8")


def test_a_report_needs_nothing_else(page, world):
    """No address, no file, no folder of this machine: everything is in the page, which is small."""
    assert len(page) < 10e6
    assert not re.search(r'(src|href|srcset)="(?!data:|#)', page)
    assert "url(" not in page
    assert not re.search(r"(https?:)?//[a-z]+\.[a-z]", re.sub(r"data:image/png;base64,[^\"]+", "", page))
    assert str(world.folder) not in page
    assert not re.search(r"(?<![\w.…])/(tmp|home|root|data)/", re.sub(r"data:image/png;base64,[^\"]+", "", page))


def test_a_report_says_what_ran_and_how_good_it_is(page):
    """Metrics with baselines, types, funnel, failures, curves, scenarios with pictures, times, versions, machine."""
    anchors = re.findall(r'<section id="(\w+)">', page)
    assert anchors == ["result", "types", "scenarios", "curves", "data", "steps", "experiment"]
    assert re.findall(r'<a href="#(\w+)">', page) == anchors
    for words in (
        "constant velocity", "constant acceleration", "num_scenarios_per_type", "no_reference_line", "The worst plans",
        "The best plans", "learning rate", "samples per second", "P &lt;1&gt;", "require_reference_line = false",
    ):  # fmt: skip
        assert words in page, words
    assert page.count("<figure>") == 2
    assert page.count("data:image/png;base64,") == 4


def test_a_report_survives_the_loss_of_its_cache(world, pluto_here, tmp_path):
    """Where samples are gone, all figures are there, and the page says why no scenario is drawn."""
    shutil.copytree(world.run, tmp_path / "moved" / "001")
    run = tmp_path / "moved" / "001"
    text = (run / "run.toml").read_text(encoding="utf-8")
    (run / "run.toml").write_text(text.replace(str(world.cache), str(tmp_path / "gone")), encoding="utf-8")
    code, _, err = pluto_here("report", run)
    assert code == 0
    assert "no scenario is drawn: " in err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "No scenario could be drawn" in page
    assert "All 10 scenarios." in page
    assert "<figure>" not in page


def test_a_comparison_says_what_differs(world, pluto_here, tmp_path):
    """The second run is worse in every scenario: differences, settings, and both plans of what changed stand side by side."""
    code, out, _ = pluto_here("report", world.run, world.other, "--pictures", 1, "--out", "both.html")
    assert code == 0
    assert out.startswith("report: both.html (")
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "On the 10 scenarios of both" in page
    assert "0 are better" in page
    assert '<td class="code" data-value="seed">seed</td>' in page
    assert "Where B is worse" in page
    assert "Where B is better" not in page
    assert page.count('<div class="pair">') == 1
    assert page.count("<figure>") == 2


def test_verdicts_from_table_and_from_plans_agree(world):
    """The table that a run leaves and its plans against the cache give the same errors."""
    table, plans = from_table(world.run / "scenarios_val.csv"), from_scenarios(api.scenarios(world.run))
    place = {one.key: row for row, one in enumerate(plans.ids)}
    rows = [place[one.key] for one in table.ids]
    assert len(rows) == len(table) == 10
    for planner in ("planner", "constant_velocity"):
        for name in ("fde_top1_m", "ade_top1_m", "miss_top1", "fde_top6_m"):
            assert table.of(planner, name) == pytest.approx(plans.of(planner, name)[rows], rel=1e-4, abs=1e-4, nan_ok=True)


def test_what_is_no_run_is_refused(pluto_here, tmp_path):
    """The message says what is missing, and nothing is written."""
    code, _, err = pluto_here("report", tmp_path)
    assert code == 1
    assert err.endswith("is no run: it has neither results.json nor state.json\n")
    assert not list(tmp_path.iterdir())


def test_settings_are_flat():
    """Tables and arrays of tables give dotted keys, other arrays are values."""
    assert dict(flat({"a": {"b": 1}, "c": [{"d": 2}], "e": [3, 4]})) == {"a.b": 1, "c.0.d": 2, "e": [3, 4]}
