"""What starting costs: commands that only look import nothing heavy, and no plugin where none is asked for."""

import subprocess
import sys

import pytest

from pluto_core.cli.main import COMMANDS

HEAVY = ["numpy", "torch", "lightning", "pytorch_lightning", "scipy", "shapely", "lmdb", "pyarrow", "cv2", "matplotlib", "rich"]


def loaded_by(repository, *arguments, path=()):
    """Return the heavy modules that a command has imported when it ends, in a fresh interpreter."""
    code = (
        "import sys\n"
        f"sys.path[:0] = {[str(folder) for folder in path]!r}\n"
        "from pluto_core.cli.main import outcome\n"
        f"code = outcome({list(arguments)!r})\n"
        "assert code == 0, code\n"
        f"print('LOADED', *[name for name in {[*HEAVY, 'pluto_core.plugins', 'sleepy']!r} if name in sys.modules])\n"
    )
    experiments = repository / "experiments"
    done = subprocess.run([sys.executable, "-c", code], cwd=experiments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("LOADED")[2].split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_commands_is_light(repository, command):
    """The help of a command imports nothing heavy."""
    assert set(loaded_by(repository, command, "--help")) <= {"pluto_core.plugins"}


def test_help_imports_no_catalogue(repository):
    """`--help` does not even look for plugins."""
    assert loaded_by(repository, "--help") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "sanity.toml", "av2.toml"),
        ("show", "sanity.toml"),
        ("plugins",),
        ("plugins", "show", "pluto"),
        ("schema",),
    ],
)
def test_looking_is_light(repository, arguments):
    """Checking and listing import neither numpy nor torch, whatever is installed."""
    assert loaded_by(repository, *arguments) == ["pluto_core.plugins"]


@pytest.fixture
def sleepy(tmp_path):
    """Return a folder on which a plugin is installed whose module sleeps, beside one whose component does."""
    folder = tmp_path / "sleepy-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy\nVersion: 1.0\n", encoding="utf-8")
    entries = "[pluto]\nsleepy = sleepy\n[pluto.commands]\nsleep = sleepy:command\n"
    (folder / "entry_points.txt").write_text(entries, encoding="utf-8")
    (tmp_path / "quick.py").write_text(QUICK, encoding="utf-8")
    return tmp_path


QUICK = """
from pluto_core import Component, hookimpl

@hookimpl
def pluto_register_sources():
    return [Component("tired", factory="sleepy:make", config="pluto_lmdb.config:LmdbConfig", summary="Sleeps when imported.")]
"""


def test_help_with_a_slow_plugin(repository, sleepy, local_plugins):
    """An installed plugin whose module sleeps is not imported by `--help`, nor by the help of commands."""
    assert loaded_by(repository, "--help", path=(sleepy, local_plugins)) == []
    assert "sleepy" not in loaded_by(repository, "check", "--help", path=(sleepy, local_plugins))


def test_check_with_a_slow_component(repository, sleepy, local_plugins):
    """Checking an experiment does not import the module of a component that it selects; a plugin left out is not imported."""
    path = sleepy / "a.toml"
    text = 'steps = ["cache"]\nplugins = ["quick"]\n[source]\nuse = "tired"\n[[targets]]\nuse = "ego_trajectory"\n'
    path.write_text(text, encoding="utf-8")
    for command in (("check", str(path)), ("show", str(path)), ("plugins", "-p", "quick"), ("schema", "-p", "quick")):
        loaded = loaded_by(repository, *command, "--without", "sleepy", path=(sleepy, local_plugins))
        assert loaded == ["pluto_core.plugins"]


def test_check_with_a_slow_plugin(repository, sleepy, local_plugins):
    """A plugin whose own module sleeps is waited for, and makes nothing else heavy."""
    command = ("check", "sanity.toml")
    assert loaded_by(repository, *command, path=(sleepy, local_plugins)) == ["pluto_core.plugins", "sleepy"]


INTERRUPTED = """
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "torch", "pytorch_lightning"}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Guard())
from pluto_core.cli.main import outcome
print("CODE", outcome(["run", sys.argv[2], "--out", sys.argv[1]]))
"""


def test_run_says_what_it_will_do_first(repository, tmp_path):
    """`run` prints its plan before it imports numpy or torch, so that a wrong experiment can be stopped at once."""
    command = [sys.executable, "-c", INTERRUPTED, tmp_path / "runs", repository / "experiments" / "sanity.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sanity: cache, train, validate (seed 0")
    assert any(line.split() == ["model", "pluto"] for line in lines)
    assert lines[-1] == "CODE 130"
    assert not (tmp_path / "runs").exists()
