"""Benchmarks: every program is in the list of figures, claims are read from what programs print, the model is sound."""

import importlib
import re
from pathlib import Path

import attrs
import cv2  # noqa: F401 -- it changes the environment when it is imported, which no test may do
import pytest

HELPERS = {"peer", "peer_files", "scaling_constants", "soak_attempts", "soak_remains"}
"""Modules of programs, which print nothing themselves."""


@pytest.fixture
def program(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that imports a program of `benchmarks/`."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module


def test_each_program_has_its_figures(repository: Path) -> None:
    """Programs and the page of their figures name one another; a program that is not there is not named."""
    page = (repository / "benchmarks" / "README.md").read_text(encoding="utf-8")
    there = {path.stem for path in (repository / "benchmarks").glob("*.py")}
    named = set(re.findall(r"\b(\w+)\.py\b", page)) - {"profiles", "record"}
    assert there - HELPERS - named == set()
    assert named - there == set()


def test_claims_name_programs(program, repository: Path) -> None:
    """Every claim has a run, every run a program and a claim."""
    claims = program("claims")
    assert {claim.name for claim in claims.CLAIMS} == set(claims.RUNS)
    for arguments, _ in claims.RUNS.values():
        assert (repository / "benchmarks" / arguments[0]).is_file()


PRINTED = """
some words | with a bar

| way | augmentation | samples/s |
|---|--:|--:|
| **memcpy** | none | 14,084 (1 to 2) |
| pluto, raw | none | 48% |

| ratio | times |
|---|--:|
| two | 1.95 |
"""


@pytest.mark.parametrize(
    ("row", "column", "figure"),
    [(("memcpy",), "samples", 14084), (("pluto", "none"), "samples/s", 48), (("two",), "times", 1.95)],
)
def test_figures_are_read_from_tables(program, row, column, figure) -> None:
    """A cell is found by the beginnings of its row and column, with or without bold, commas, percent and a spread."""
    claim = program("claims").Claim("any", "", row, column, 2.0, least=False)
    assert claim.figure(PRINTED) == figure
    assert claim.holds(figure) == (figure <= 2)
    assert attrs.evolve(claim, least=True).holds(figure) == (figure >= 2)


def test_a_figure_that_is_not_there(program) -> None:
    """A table that lost a row or a column ends the program, naming what was looked for."""
    claims = program("claims")
    for row, column in ((("gone",), "times"), (("two",), "gone")):
        with pytest.raises(SystemExit, match="gone"):
            claims.Claim("any", "", row, column, 1.0, least=True).figure(PRINTED)


def test_the_model_is_sound(program, repository: Path) -> None:
    """More cores, machines or bandwidth never take longer; ten times the scenarios take at most ten times as long."""
    scaling = program("scaling")
    known = scaling.Constants.load(repository / "benchmarks" / "scaling.json")
    assert 0.5 < known.efficiency <= 1.1
    for shared in (None, 500.0, 5000.0):
        before = float("inf")
        for cores in (1, 16, 64, 512, 4096):
            site = scaling.Site(cores=cores, machine_cores=64, shared_mb_s=shared)
            small, large = (scaling.forecast(known, site, count) for count in (1_000_000, 10_000_000))
            assert small.seconds <= before
            assert small.seconds < large.seconds <= 10 * small.seconds
            assert small.bottleneck in {"cores", "disk", "driver", "listing", "joining"}
            before = small.seconds
    slow, fast = (
        scaling.forecast(known, scaling.Site(cores=512, machine_cores=64, shared_mb_s=rate), 1_000_000) for rate in (100.0, 1e6)
    )
    assert slow.bottleneck == "disk"
    assert fast.seconds < slow.seconds


def test_the_figures_on_the_page_keep_the_claims(program, repository: Path) -> None:
    """What was measured last holds, by the same reading of tables as a run's."""
    claims = program("claims")
    page = (repository / "benchmarks" / "README.md").read_text(encoding="utf-8")
    broken = [claim.text for claim in claims.CLAIMS if not claim.holds(claim.figure(page))]
    assert broken == []
