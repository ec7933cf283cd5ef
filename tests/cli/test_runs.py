"""Runs as a user meets them: numbered folders, going on, `--fresh`, `pluto runs`, exit codes."""

import importlib.util
import json
from pathlib import Path

import pytest

from pluto_core.cli.main import outcome
from pluto_core.errors import ExitCode
from pluto_core.experiment.tomltext import tomllib
from pluto_core.run import folders

MOODS = '''
"""A target that fails as a file says."""

from pathlib import Path

import attrs
import numpy as np

from pluto_core import Component, Reason, SampleError, hookimpl
from pluto_core.arrays import ArraySpec
from pluto_core.scene import Window


@hookimpl
def pluto_register_targets():
    return [Component("mood", factory="moods:Mood", config="moods:MoodConfig", provides="moods:spec", summary="A number.")]


@attrs.frozen(kw_only=True)
class MoodConfig:
    """Nothing to set."""


def spec(config):
    return {"mood": ArraySpec(dims=(), dtype="float32")}


class Mood:
    version = "1"
    window = Window()
    spec = spec(None)

    def __init__(self, config, context):
        pass

    def build(self, scene):
        mood = Path("mood").read_text() if Path("mood").exists() else ""
        if mood == "interrupt":
            raise KeyboardInterrupt
        if mood == "sad":
            raise SampleError(Reason.NO_ROUTE, "not in the mood")
        return {"mood": np.float32(1).reshape(())}
'''
EXPERIMENT = """
name = "small"
steps = ["cache"]
plugins = ["moods"]
[source]
use = "av2"
data_root = "recordings"
stride = 8
[[targets]]
use = "mood"
"""


@pytest.fixture
def pluto_here(tmp_path, monkeypatch, repository, capsys):
    """Return a function that runs `pluto ARGUMENTS` here, beside a small experiment: its exit code, output and errors."""
    place = repository / "tests" / "plugins" / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(tmp_path / "recordings")
    (tmp_path / "moods.py").write_text(MOODS, encoding="utf-8")
    (tmp_path / "a.toml").write_text(EXPERIMENT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments):
        code = outcome(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_numbered_folders(pluto_here):
    """A finished experiment starts a new run; both are listed, with what they did, and hold what repeats them."""
    for number in ("001", "002"):
        code, out, _ = pluto_here("run", "a.toml")
        assert code == 0
        assert f"run           runs/{number}, new" in out
        assert f"run {number} is complete" in out
        assert tomllib.loads(Path("runs", number, "run.toml").read_text(encoding="utf-8"))["name"] == "small"
        assert json.loads(Path("runs", number, "results.json").read_text(encoding="utf-8"))["status"] == "finished"
    code, out, _ = pluto_here("runs")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert [(*line.split()[:2], *line.split()[4:9]) for line in out.splitlines()[1:]] == [
        ("001", "small", "finished", "-", "-", "-", "-"),
        ("002", "small", "finished", "-", "-", "-", "-"),
    ]
    code, out, _ = pluto_here("runs", "runs", "--json")
    assert [(run["path"], run["name"], run["status"], run["steps"]) for run in json.loads(out)["runs"]] == [
        ("runs/001", "small", "finished", ["cache"]),
        ("runs/002", "small", "finished", ["cache"]),
    ]


def test_a_plan_comes_first_and_a_summary_last(pluto_here):
    """Before anything is computed a run says where it writes, what there is and what is to do; in the end, how long it took."""
    lines = pluto_here("run", "a.toml")[1].splitlines()
    (planned,) = (line for line in lines if "scenarios are there" in line)
    assert planned.startswith("  cache         0 of ")
    assert any(line.startswith("  scenarios     train ") for line in lines)
    assert lines.index(planned) < next(place for place, line in enumerate(lines) if line.startswith("cache: "))
    (ended,) = (line for line in lines if line.startswith("run 001 is complete: "))
    assert "(cache " in ended
    lines = pluto_here("run", "a.toml")[1].splitlines()
    assert any("scenarios are there" in line and line.endswith(", 0 to compute") for line in lines)


def test_results_say_where_the_run_was_made(pluto_here):
    """`results.json` names versions, machine and data, the latter by a hash of its files, not by a path."""
    pluto_here("run", "a.toml")
    found = json.loads(Path("runs/001/results.json").read_text(encoding="utf-8"))
    assert found["versions"]["pluto-framework"]
    assert found["machine"]["processors"].endswith("for this process")
    assert set(found["data"]) == {"reader", "files", "bytes", "digest"}
    assert str(Path.cwd()) not in json.dumps(found["data"])


def test_run_toml_repeats(pluto_here):
    """`run.toml` is the experiment: it resolves to the same settings, and finds its samples there."""
    pluto_here("run", "a.toml")
    code, out, _ = pluto_here("run", "runs/001/run.toml")
    assert code == 0
    assert "nothing recomputed" in out
    first, second = (tomllib.loads(Path("runs", number, "run.toml").read_text(encoding="utf-8")) for number in ("001", "002"))
    assert first == second


def test_an_interrupted_run_goes_on(pluto_here):
    """Ctrl-C ends with 130 and keeps the run; the same command goes on in its folder and says so; `--fresh` does not."""
    Path("mood").write_text("interrupt", encoding="utf-8")
    code, _, err = pluto_here("run", "a.toml")
    assert code == ExitCode.INTERRUPTED
    assert "interrupted" in err
    assert "interrupted" in pluto_here("runs")[1]
    Path("mood").unlink()
    code, out, err = pluto_here("run", "a.toml")
    assert code == 0
    assert "run 001 goes on (no step done before)" in err
    assert "run 001 is complete" in out
    Path("mood").write_text("interrupt", encoding="utf-8")
    pluto_here("run", "a.toml", "--fresh", "--yes")
    assert [run.status for run in folders.existing(Path("runs"))] == ["finished", "interrupted"]
    Path("mood").unlink()
    pluto_here("run", "a.toml", "--fresh", "--yes")
    assert [run.status for run in folders.existing(Path("runs"))] == ["finished", "interrupted", "finished"]


def test_other_settings_are_another_run(pluto_here):
    """An unfinished run is not gone on with by an experiment that sets something else."""
    Path("mood").write_text("interrupt", encoding="utf-8")
    pluto_here("run", "a.toml")
    Path("mood").unlink()
    code, _, err = pluto_here("run", "a.toml", "--set", "seed=1")
    assert code == 0
    assert "goes on" not in err
    assert [run.status for run in folders.existing(Path("runs"))] == ["interrupted", "finished"]


def test_out(pluto_here):
    """`--out` puts runs elsewhere, whatever its name."""
    assert pluto_here("run", "a.toml", "--out", 'odd "name" # here')[0] == 0
    assert Path('odd "name" # here', "001", "run.toml").exists()


def test_fresh_asks(pluto_here):
    """`--fresh` does not delete a cache without being told to where nobody can be asked."""
    pluto_here("run", "a.toml")
    before = sorted(path.name for path in Path("runs", "cache").rglob("*"))
    code, _, err = pluto_here("run", "a.toml", "--fresh")
    assert code == ExitCode.FAILED
    assert "--fresh deletes the cache runs/cache; say --yes to allow it" in err
    assert sorted(path.name for path in Path("runs", "cache").rglob("*")) == before


def test_failures(pluto_here):
    """Failures are told and allowed, up to `max_failures`; beyond, the run fails with 3."""
    Path("mood").write_text("sad", encoding="utf-8")
    code, out, _ = pluto_here("run", "a.toml")
    assert code == 0
    assert "failed" in out
    code, _, err = pluto_here("run", "a.toml", "--set", "max_failures=0", "--fresh", "--yes")
    assert code == ExitCode.TOO_MANY_FAILURES
    assert "max_failures allows 0" in err
    assert [run.status for run in folders.existing(Path("runs"))] == ["finished", "failed"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("run",), ExitCode.USAGE, "Missing argument 'FILE'"),
        (("run", "a.toml", "--nope"), ExitCode.USAGE, "No such option"),
        (("run", "none.toml"), ExitCode.FAILED, "error: none.toml: there is no such file"),
        (("run", "a.toml", "--only", "train"), ExitCode.FAILED, "'train' is none of the experiment's steps (cache)"),
        (("run", "a.toml", "--set", "source.data_root=nowhere"), ExitCode.FAILED, "source.data_root"),
        (("check", "a.toml", "none.toml"), ExitCode.FAILED, "there is no such file"),
    ],
)
def test_exit_codes(pluto_here, arguments, code, text):
    """Usage errors end with 2, mistakes with 1 and one message."""
    ended, _, err = pluto_here(*arguments)
    assert ended == code
    assert text in err


def test_numbers_go_on(tmp_path):
    """The next number follows the largest, beyond 999 too; other folders and broken ones are passed over."""
    for name in ("007", "1000", "notes", "8x"):
        (tmp_path / name).mkdir()
    (tmp_path / "007" / "state.json").write_text("{broken", encoding="utf-8")
    run = folders.claim(tmp_path, "text", {"a": 1}, fresh=False, again=False)
    assert run.path.name == "1001"
    assert [found.path.name for found in folders.existing(tmp_path)] == ["1001"]
