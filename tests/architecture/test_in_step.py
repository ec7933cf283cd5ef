"""Kinds, hooks, protocols, suites and documentation stay in step; the import contracts hold."""

import ast
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pluto_core.testing
import pluto_lightning.testing
from pluto_core import hookspecs
from pluto_core.component import load
from pluto_core.experiment import read
from pluto_core.kinds import BY_NAME, BY_SECTION, KINDS
from pluto_core.plugins import Catalogue
from pluto_core.testing.components import ComponentSuite

HOOKS = {name: found for name, found in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("pluto_")}
MOMENTS = {
    "pluto_check_experiment",
    "pluto_before_step",
    "pluto_after_step",
    "pluto_step_failed",
    "pluto_doctor_checks",
    "pluto_cache_importers",
}


def test_one_hook_a_kind():
    """Every kind has its hook, and every hook is a kind's, the presets', or a moment."""
    assert set(HOOKS) == {kind.hook for kind in KINDS} | {"pluto_register_presets"} | MOMENTS
    assert len(BY_NAME) == len(BY_SECTION) == len(KINDS)


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_are_documented(name):
    """Every hook says what it does, gives an example, is typed, and explains its arguments."""
    hook = HOOKS[name]
    text = inspect.getdoc(hook) or ""
    assert "Example:" in text
    signature = inspect.signature(hook)
    assert signature.return_annotation is not inspect.Signature.empty
    for argument in signature.parameters.values():
        assert argument.annotation is not inspect.Parameter.empty
        assert f"{argument.name}:" in text


def test_hooks_stand_in_the_order_of_kinds():
    """The hooks that register stand in the order of the kinds, so that both read alike."""
    lines = {name: inspect.getsourcelines(hook)[1] for name, hook in HOOKS.items()}
    order = sorted((name for name in lines if name.startswith("pluto_register_")), key=lines.__getitem__)
    assert order == [*[kind.hook for kind in KINDS], "pluto_register_presets"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_protocols_exist(kind):
    """Every kind names a protocol that exists and is documented."""
    module, _, name = kind.protocol.partition(":")
    protocol = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(protocol)


def test_doctor_checks_exist():
    """Every check that a bundled plugin names for `pluto doctor` can be imported and explains itself."""
    answers = Catalogue.load(environment={}).hooks.pluto_doctor_checks()
    assert answers
    for target in (target for answer in answers for target in answer.values()):
        assert inspect.getdoc(load(target))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_suites_exist(kind):
    """Every kind names a conformance suite of its kind that exists, is documented, and has tests of its own."""
    suite = load(kind.suite)
    assert issubclass(suite, ComponentSuite)
    assert kind.name in suite.kinds
    assert inspect.getdoc(suite)
    own = {name: test for name, test in vars(suite).items() if name.startswith("test_")}
    assert own
    assert all(inspect.getdoc(test) for test in own.values())


def test_suites_are_offered_by_name():
    """What the kits offer are the suites of the kinds, those of hooks, and helpers; all of it can be imported."""
    offered = {f"{kit.__name__}:{name}" for kit in (pluto_core.testing, pluto_lightning.testing) for name in kit.__all__}
    suites = {name for name in offered if name.endswith("Suite")}
    assert suites == {kind.suite for kind in KINDS} | {"pluto_core.testing:HooksSuite"}
    assert all(load(name) for name in offered)


def applied_suites(path):
    """Yield (suite, component, kind) of every class of a test file that pytest collects and that says what it tests.

    It says so by `hooks, use = ..., "component"`, and by `kind` where its plugin has the name in two kinds.
    """
    for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(found, ast.ClassDef) and found.bases and found.name.startswith("Test"):
            told = {}
            for line in (line for line in found.body if isinstance(line, ast.Assign)):
                names, values = line.targets[0], line.value
                pairs = zip(names.elts, values.elts, strict=True) if isinstance(names, ast.Tuple) else [(names, values)]
                told |= {ast.unparse(name): getattr(value, "value", None) for name, value in pairs}
            if "use" in told:
                yield ast.unparse(found.bases[0]), told["use"], told.get("kind", "")


@pytest.mark.parametrize("plugin", Catalogue.load().plugins, ids=lambda plugin: plugin.name)
def test_bundled_components_are_held_to_their_suites(repository, plugin):
    """Every component of a bundled plugin passes the suite of its kind, and its hooks pass theirs."""
    if plugin.distribution != "pluto-framework":
        pytest.skip(f"{plugin} is somebody else's")
    catalogue = Catalogue.of(importlib.import_module(plugin.module))
    folder = repository / "tests" / "plugins" / plugin.module.partition(".")[0]
    applied = {pair for path in folder.glob("test_*.py") for pair in applied_suites(path)}
    for kind in KINDS:
        suite = kind.suite.partition(":")[2]
        rivals = [other.name for other in KINDS if other.suite == kind.suite]
        for name in (one.name for one in catalogue.components(kind.name)):
            first = next(rival for rival in rivals if catalogue.has(rival, name))
            told = {kind.name, ""} if first == kind.name else {kind.name}
            assert {(suite, name, word) for word in told} & applied, f"{folder}: no class applies {suite} to {kind.name}.{name}"
    assert "(HooksSuite)" in (folder / "test_conformance.py").read_text(encoding="utf-8")


def test_experiments_pass(repository):
    """Every shipped experiment passes `check`."""
    found = sorted((repository / "experiments").glob("*.toml"))
    assert found
    for path in found:
        assert read(path, environment={}).name


def test_import_contracts(repository):
    """The contracts on who may import whom hold."""
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed")
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--config", ".importlinter", "--no-cache"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
