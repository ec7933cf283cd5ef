"""Fixtures of the tests of commands on caches."""

import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_experiment

from pluto_core.cli import main


@attrs.frozen
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def ok(self):
        """Return the output of a command that must have ended well."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self.out


@pytest.fixture
def here(tmp_path, monkeypatch, local_plugins):
    """Return a folder with the small experiment in it, which is the working directory."""
    assert local_plugins
    cache_experiment.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in cache_experiment.SETTINGS.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def say(here, capsys):
    """Return a function that runs `pluto ARGUMENTS` in this process."""
    assert here

    def run(*arguments):
        capsys.readouterr()
        code = main.outcome([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return Said(code, output.out, output.err)

    return run


@pytest.fixture
def cached(say):
    """Return the same function, after the cache step: 30 scenarios, six of which lack the sample of `mood`."""
    say("run", "small.toml").ok()
    return say
