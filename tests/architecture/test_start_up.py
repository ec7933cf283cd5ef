"""What starting costs: commands that only look import nothing heavy, and no plugin where none is asked for."""

import subprocess
import sys

import pytest

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
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("LOADED")[2].split()


@pytest.mark.parametrize("command", ["run", "check", "show", "plugins", "schema", "runs", "scenarios", "doctor"])
def test_help_of_commands_is_light(repository, command):
    """The help of a command imports nothing heavy."""
    assert set(loaded_by(repository, command, "--help")) <= {"pluto_core.plugins"}


def test_help_imports_no_catalogue(repository):
    """`--help` does not even look for plugins."""
    assert loaded_by(repository, "--help") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "experiments/sanity.toml", "experiments/av2.toml"),
        ("show", "experiments/sanity.toml"),
        ("plugins",),
        ("plugins", "show", "pluto"),
        ("schema",),
    ],
)
def test_looking_is_light(repository, arguments):
    """Checking and listing import neither numpy nor torch, whatever is installed."""
    assert loaded_by(repository, *arguments) == ["pluto_core.plugins"]


def test_help_with_a_slow_plugin(repository, tmp_path, local_plugins):
    """An installed plugin whose module sleeps is not imported by `--help`."""
    folder = tmp_path / "sleepy-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: sleepy\nVersion: 1.0\n", encoding="utf-8")
    entries = "[pluto]\nsleepy = sleepy\n[pluto.commands]\nsleep = sleepy:command\n"
    (folder / "entry_points.txt").write_text(entries, encoding="utf-8")
    assert loaded_by(repository, "--help", path=(tmp_path, local_plugins)) == []
