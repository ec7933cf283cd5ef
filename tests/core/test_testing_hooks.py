"""Every test of `HooksSuite` can fail: plugins with one defect each are caught by the tests that are there for it."""

import importlib
import inspect
import re
import sys

import pytest

from pluto_core.plugins import Catalogue
from pluto_core.testing import HooksSuite
from pluto_core.testing.guard import inherited_tests

GUARD = "test_no_test_of_the_suite_is_missing"
"""Proven in test_testing_guard.py."""
PLUGIN = """
from types import SimpleNamespace

from pluto_core import Component, hookimpl
from pluto_core.moments import Finding

def ill(surroundings):
    return [Finding(subject="all", state="broken", text="all is lost")]

def part(**changes):
    told = dict(
        factory="pluto_core.testing.fakes:make_source",
        config="pluto_core.testing.config:NothingConfig",
        summary="A part.",
    )
    return Component("part", **{{**told, **changes}})

def greedy(config, context):
    return SimpleNamespace(open=lambda path: path)

@hookimpl
def pluto_{hook}():
    return {answer}
"""
BETWEEN = "test_builders_and_models_say_what_passes_between_them"
CHECKS, DOCTOR = "test_doctor_checks", "doctor_checks"
IMPORTERS = "cache_importers"
CONFIGS = "test_configs_are_frozen_and_explained"
BROKEN = {
    "answers nothing of use": ("test_the_plugin_works", "sources", '["no component"]', "no component"),
    "loads numpy for checking": (
        "test_nothing_heavy_is_loaded",
        "models",
        '[part(requires="broken_configs:heavy")]',
        "loads numpy",
    ),
    "names what is not there": (
        "test_import_strings_resolve",
        "sources",
        '[part(factory="pluto_core.nothing:make")]',
        "cannot be imported, and no `extra` says why",
    ),
    "names what cannot be called": (
        "test_import_strings_resolve",
        "sources",
        '[part(factory="pluto_core.kinds:KINDS")]',
        "cannot be called",
    ),
    "says no sentence": ("test_components_say_what_they_are", "sources", '[part(summary="a part")]', "is no sentence"),
    "says too much": (
        "test_components_say_what_they_are",
        "sources",
        r'[part(summary="A part.\nAnother.")]',
        "more than one line",
    ),
    "is silent on what it provides": (BETWEEN, "features", "[part()]", "does not say what it `provides`"),
    "provides no specs": (BETWEEN, "features", '[part(provides="broken_configs:no_specs")]', "provides what are no ArraySpecs"),
    "requires no requirement": (
        BETWEEN,
        "models",
        '[part(requires="broken_configs:no_specs")]',
        "requires what is no Requirement",
    ),
    "does not explain a key": (CONFIGS, "sources", '[part(config="broken_configs:Silent")]', "does not say what root mean"),
    "takes keys by position": (CONFIGS, "sources", '[part(config="broken_configs:Positional")]', "takes arguments by position"),
    "can be changed": (CONFIGS, "sources", '[part(config="broken_configs:Thawed")]', "is not frozen"),
    "is no attrs class": (CONFIGS, "sources", '[part(config="broken_configs:Plain")]', "is no attrs class"),
    "has a default of another type": (
        "test_defaults_survive_a_file",
        "sources",
        '[part(config="broken_configs:Untold")]',
        "size = 1.5",
    ),
    "looks and says no finding": (CHECKS, DOCTOR, '{"Part": "builtins:repr"}', "is no Finding"),
    "calls absence broken": (
        CHECKS,
        DOCTOR,
        '{"Part": "broken_plugin:ill"}',
        "all is broken where nothing is set up: all is lost",
    ),
    "takes everything for its own": (
        "test_cache_importers",
        IMPORTERS,
        '[part(factory="broken_plugin:greedy")]',
        "part takes an empty folder for a cache",
    ),
    "ships no TOML": ("test_presets_are_toml", "presets", '{"odd": "broken_presets:odd.toml"}', "odd.toml"),
}


@pytest.fixture
def applied(local_plugins, tmp_path, monkeypatch):
    """Return a function that gives a test of the suite, applied to a plugin that answers a hook."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_presets").mkdir()
    (tmp_path / "broken_presets" / "__init__.py").touch()
    (tmp_path / "broken_presets" / "odd.toml").write_text("name = ")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def apply(test, hook, answer):
        (tmp_path / "broken_plugin.py").write_text(
            PLUGIN.format(hook=hook if hook in {DOCTOR, IMPORTERS} else f"register_{hook}", answer=answer)
        )
        importlib.invalidate_caches()
        sys.modules.pop("broken_plugin", None)
        suite = type("TestBroken", (HooksSuite,), {"hooks": "broken_plugin"})()
        bound = getattr(suite, test)
        needs = inspect.signature(bound).parameters
        catalogue = Catalogue.of(importlib.import_module("broken_plugin"))
        given = {"catalogue": catalogue, "tmp_path": tmp_path}
        return lambda: bound(**{name: given[name] for name in needs})

    yield apply
    for name in ("broken_plugin", "broken_presets"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("defect", BROKEN)
def test_broken_plugins_are_caught(applied, defect):
    """A plugin that has the defect fails the test that is there for it; one that has none passes the same test."""
    test, hook, answer, message = BROKEN[defect]
    applied(test, "sources", "[part()]")()
    with pytest.raises((AssertionError, pytest.fail.Exception), match=re.escape(message)):
        applied(test, hook, answer)()


def test_every_test_can_fail():
    """For every test of the suite there is a plugin that it catches."""
    tests = {name for name, _ in inherited_tests(HooksSuite)} - {GUARD}
    assert tests == {test for test, *_ in BROKEN.values()}


def test_settings_of_the_suite_are_asked_for(applied):
    """A config that cannot do without a key is not a failure of the plugin, but one of its test, which says so."""
    run = applied(BETWEEN, "sources", '[part(config="pluto_av2.config:Av2Config")]')
    with pytest.raises(pytest.fail.Exception, match="give what it needs in `settings` of TestBroken"):
        run()
