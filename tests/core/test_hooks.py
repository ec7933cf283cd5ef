"""Every hook is called, in the order in which `hookspecs.py` lists them, and with what it promises."""

import importlib
import inspect
import types

import pytest

from pluto_core import PlutoError, hookimpl, hookspecs
from pluto_core.cli.main import outcome
from pluto_core.experiment import read
from pluto_core.plugins import Catalogue
from pluto_core.run.execute import perform

HOOKS = {
    name: found
    for name, found in sorted(
        inspect.getmembers(hookspecs, inspect.isfunction), key=lambda pair: inspect.getsourcelines(pair[1])[1]
    )
    if name.startswith("pluto_")
}
OF_COMMANDS = {"pluto_doctor_checks": ["doctor"], "pluto_cache_importers": ["cache", "import", ".", "--to", "cache"]}
"""Hooks that a command of their own calls, and that command."""

EXPERIMENT = """
steps = ["cache"]
[source]
use = "av2"
data_root = "recordings"
[cache]
use = "files"
[[targets]]
use = "ego_trajectory"
"""


@pytest.fixture
def recorder(monkeypatch):
    """Return a plugin that implements every hook by noting the call and its arguments."""
    module = types.ModuleType("recorder")
    module.calls = []
    for name, hook in HOOKS.items():
        arguments = ", ".join(inspect.signature(hook).parameters)
        noted = ", ".join(f"{argument!r}: {argument}" for argument in inspect.signature(hook).parameters)
        exec(f"def {name}({arguments}):\n    calls.append(({name!r}, {{{noted}}}))", module.__dict__)  # noqa: S102 -- our hooks
        setattr(module, name, hookimpl(getattr(module, name)))
    monkeypatch.setitem(importlib.sys.modules, "recorder", module)
    return module


@pytest.fixture
def load(recorder, tmp_path, monkeypatch, repository):
    """Return a function that reads a small experiment with the recorder beside three bundled plugins."""
    place = repository / "tests" / "plugins" / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(tmp_path / "recordings")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(EXPERIMENT, encoding="utf-8")
    modules = [importlib.import_module(f"pluto_{name}.hooks") for name in ("av2", "basics")]
    return lambda *settings: read("a.toml", settings=settings, catalogue=Catalogue.of(recorder, *modules))


def test_order_of_a_run(load, recorder, tmp_path):
    """A run asks what there is, checks, and tells before and after its step, with experiment, folder and report."""
    run = perform(load(), progress=False)
    expected = [name for name in HOOKS if name not in OF_COMMANDS and name != "pluto_step_failed"]
    assert [name for name, _ in recorder.calls] == expected
    told = {name: arguments for name, arguments in recorder.calls if arguments}
    assert told["pluto_check_experiment"]["experiment"].selected("source")[0].use == "av2"
    step, report = told["pluto_after_step"]["step"], told["pluto_after_step"]["report"]
    assert (step.name, step.run_dir) == ("cache", run.path)
    assert report.numbers["computed"] > 0
    assert set(report.files) == {"cache"}
    assert report.seconds > 0


def test_a_step_that_fails(load, recorder):
    """A step that fails is told with its error, and has no `after`."""
    with pytest.raises(PlutoError, match="the filter takes no scenario"):
        perform(load('filter.log_names=["none"]'), progress=False)
    names = [name for name, _ in recorder.calls]
    assert names[-2:] == ["pluto_before_step", "pluto_step_failed"]
    assert "takes no scenario" in str(recorder.calls[-1][1]["error"])


@pytest.mark.parametrize("name", OF_COMMANDS)
def test_hooks_of_commands(name, recorder, monkeypatch, tmp_path, capsys):
    """The hook of a command is called by it."""
    monkeypatch.chdir(tmp_path)
    outcome([*OF_COMMANDS[name], "-p", "recorder"])
    assert name in [called for called, _ in recorder.calls]


def test_none_is_left_out(load, recorder):
    """No hook is called by nobody."""
    perform(load(), progress=False)
    with pytest.raises(PlutoError):
        perform(load('filter.log_names=["none"]'), progress=False)
    assert {name for name, _ in recorder.calls} | OF_COMMANDS.keys() == HOOKS.keys()
