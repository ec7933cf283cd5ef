"""`pluto doctor`: what it says, as text and as JSON, and how it ends."""

import json
from importlib import metadata
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from pluto_core import hookimpl
from pluto_core.cli import doctor_checks
from pluto_core.cli.doctor import report
from pluto_core.cli.doctor_checks import examine
from pluto_core.moments import Finding, Surroundings
from pluto_core.plugins import Catalogue

EVERY_PLUGIN = "av2,basics,lightning,lmdb,nuplan,planner,viz,augment,devkit,ray"
WHOLE = pytest.mark.skipif(find_spec("torch") is None, reason="torch is missing, which doctor tells")
FOUND = Finding(subject="thing", state="ok", text="is there", command="pluto thing")


def good(surroundings):
    """Report one good thing and where it may look."""
    yield FOUND
    yield Finding(subject="place", state="note", text=str(surroundings.cache_home), advice="look there")


def raising(_surroundings):
    """Report one good thing, then fail."""
    yield FOUND
    message = "no such luck"
    raise RuntimeError(message)


def wrong(_surroundings):
    """Report what is no finding."""
    return ["all is well"]


def sections_of(tmp_path, checks):
    """Return the sections of a catalogue whose one plugin offers these checks, without those of the core."""

    @hookimpl
    def pluto_doctor_checks():
        return checks() if callable(checks) else checks

    catalogue = Catalogue.of(SimpleNamespace(__name__="visitor", pluto_doctor_checks=pluto_doctor_checks))
    found = list(examine(catalogue, Surroundings(environment={}, cache_home=tmp_path / "home")))
    assert [section.title for section in found[:4]] == ["versions", "extras", "machine", "plugins"]
    return found


def test_checks_of_plugins_are_sections(tmp_path):
    """Each title is a section, and what the check yields its lines; the next commands are collected."""
    sections = sections_of(tmp_path, {"Visits": f"{__name__}:good"})
    assert sections[-1].title == "Visits"
    assert sections[-1].findings[0] == FOUND
    text = report(sections)
    assert "ok      thing  is there\n" in text
    assert f"note    place  {tmp_path / 'home'}\n                 -> look there\n" in text
    assert "try next\n  pluto thing\n  pluto plugins\n" in text


@pytest.mark.parametrize(
    ("target", "kept", "said"),
    [
        ("raising", 1, "RuntimeError: no such luck"),
        ("wrong", 0, "TypeError"),
        ("absent", 0, "has no 'absent'"),
    ],
)
def test_a_check_that_fails_is_a_finding(tmp_path, target, kept, said):
    """It names the plugin, keeps what was found before, and leaves the other checks alone."""
    *_, bad, after = sections_of(tmp_path, {"Bad": f"{__name__}:{target}", "After": f"{__name__}:good"})
    assert len(bad.findings) == kept + 1
    assert bad.findings[-1].state == "broken"
    assert bad.findings[-1].subject == "plugin visitor"
    assert said in bad.findings[-1].text
    assert after.findings[0] == FOUND


def test_a_hook_that_fails_is_a_finding(tmp_path):
    """A plugin that cannot even say what to check stops nothing."""

    def unready():
        message = "not today"
        raise ValueError(message)

    *_, last = sections_of(tmp_path, unready)
    assert "ValueError: not today" in last.findings[0].text


@WHOLE
def test_packages_and_room_are_told(tmp_path):
    """Versions come from metadata, and the cache folder is proven to take files."""
    versions, _, machine, _ = sections_of(tmp_path, {})
    told = {one.subject: one for one in (*versions.findings, *machine.findings)}
    assert told["numpy"].state == told["torch"].state == "ok"
    assert "GB free" in told["cache folder"].text


def test_a_cache_folder_that_cannot_be_written_is_broken(tmp_path):
    """It says where, and what to set."""
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    found = [one for one in sections_of(tmp_path, {})[2].findings if one.subject == "cache folder"]
    assert found[0].state == "broken"
    assert "PLUTO_CACHE_HOME" in found[0].advice


@pytest.mark.parametrize(("free_gb", "state"), [(100, "ok"), (5, "note"), (0.1, "broken")])
def test_room_on_the_disk(tmp_path, monkeypatch, free_gb, state):
    """Little room is a note, none is broken."""
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(total=200e9, free=free_gb * 1e9))
    told = {one.subject: one for one in sections_of(tmp_path, {})[2].findings}
    assert {told[name].state for name in ("cache folder", "working folder", "temporary files")} == {state}
    assert f"{free_gb:.1f} of 200.0 GB" in told["cache folder"].text


def test_a_missing_package_is_broken_and_a_missing_extra_is_not(tmp_path, monkeypatch):
    """Each says what to install."""
    original = metadata.version

    def version(name):
        if name == "numpy":
            raise metadata.PackageNotFoundError(name)
        return original(name)

    monkeypatch.setattr(doctor_checks.metadata, "version", version)
    monkeypatch.setattr(doctor_checks, "missing_of", lambda _distribution, extra: ("hypothesis",) if extra == "testing" else ())
    versions, extras, *_ = sections_of(tmp_path, {})
    (numpy,) = [one for one in versions.findings if one.subject == "numpy"]
    assert (numpy.state, numpy.advice) == ("broken", "pip install pluto-framework")
    (testing,) = [one for one in extras.findings if one.subject == "testing"]
    assert testing.state == "note"
    assert "pip install 'pluto-framework[testing]'" in testing.advice


def test_without_an_installation_no_plugin_is_found(tmp_path, monkeypatch):
    """A checkout that is not installed says how to install it."""

    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor_checks.metadata, "version", version)
    (last,) = [one for one in sections_of(tmp_path, {})[0].findings if one.subject == "pluto-framework"]
    assert last.state == "broken"
    assert "pip install -e ." in last.advice


@WHOLE
def test_doctor_ends_well_where_nothing_is_broken(pluto, tmp_path):
    """Absent data is a note; the text says how to start."""
    text = pluto("doctor", env={"PLUTO_CACHE_HOME": tmp_path / "home"}).ok()
    assert "NUPLAN_DATA_ROOT" in text
    assert "pluto run experiments/sanity.toml" in text
    assert text.endswith("nothing is broken\n")


@WHOLE
def test_doctor_ends_with_one_where_something_is_broken(pluto, tmp_path, local_plugins):
    """JSON is one object, which names what is broken; a plugin that cannot be imported is."""
    env = {"PLUTO_CACHE_HOME": tmp_path, "PLUTO_WITHOUT": EVERY_PLUGIN, "PYTHONPATH": local_plugins}
    outcome = pluto("doctor", "--json", "-p", "unimportable", env={name: str(value) for name, value in env.items()})
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert told["ok"] is False
    assert told["broken"] == ["unimportable"]
    assert {"versions", "extras", "machine", "plugins"} == told["sections"].keys()
