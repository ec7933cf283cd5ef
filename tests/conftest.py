"""Fixtures of all tests: recorded data, the real command, a clean house."""

import importlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, settings

import pluto_core
from pluto_core.plugins import Catalogue

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: programs of tests must still hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
_PATIENT = settings(settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", _PATIENT)  # a busy machine is no mistake
settings.load_profile("patient")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: networks as small as the tests' are slower on several threads

_SET_BY_OTHERS = (
    "PYTEST_CURRENT_TEST",
    "TORCHINDUCTOR_CACHE_DIR",
    "PYTORCH_NVML_BASED_CUDA_CHECK",
    "GOMP_SPINCOUNT",
    "RAY_CLIENT_MODE",
)
"""Variables that change without the test: of pytest, of torch, Lightning and Ray at first use, of `pluto run`."""

REPOSITORY = Path(__file__).resolve().parent.parent

sys.path.append(str(REPOSITORY))  # processes that tests spawn import `tests`; last, as what is installed is tested

collect_ignore = ["sample_plugin"]  # a distribution of its own; its tests run where it is installed

_USERS = {
    "torch": r"(torch|pytorch_lightning|pluto_lightning|pluto_planner\.(network|objective|model|weights))",
    "ray": r"(ray|ray_world)",
}
"""What tests import that need a package which may be absent: the core and its data need no torch, and ray is an extra."""

_ABSENT = {
    package: re.compile(rf"^\s*(import|from) {users}\b", re.MULTILINE)
    for package, users in _USERS.items()
    if importlib.util.find_spec(package) is None
}


def pytest_report_header() -> list[str]:
    """Say what is tested, a checkout or what is installed, and what is left out."""
    tested = f"pluto_core: {Path(pluto_core.__file__).parent}"
    return [tested, *(f"{package} is not installed: tests that need it are left out" for package in _ABSENT)]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules, and folders of tests, that need what is absent."""
    source = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if not _ABSENT or source.suffix != ".py" or not source.is_file():
        return None
    text = source.read_text(encoding="utf-8")
    return any(needs.search(text) for needs in _ABSENT.values()) or None


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded data and golden outputs; skip where there is none."""
    named = os.environ.get("PLUTO_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}; set PLUTO_TEST_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def _unchanged_surroundings() -> Iterator[None]:
    """Fail a test that leaves another environment or working directory behind."""
    environment, folder = dict(os.environ), Path.cwd()
    yield
    after = dict(os.environ)
    for variables in (environment, after):
        for name in _SET_BY_OTHERS:
            variables.pop(name, None)
    changed = sorted(name for name in environment.keys() | after.keys() if environment.get(name) != after.get(name))
    moved = Path.cwd()
    os.chdir(folder)
    assert not changed, f"the test changed the environment: {', '.join(changed)}"
    assert moved == folder, f"the test left the working directory at {moved}"


@attrs.frozen(kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    def ok(self) -> str:
        """Return the output of a command that must have ended well."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self.out


PlutoCommand = Callable[..., Outcome]


@pytest.fixture
def pluto(tmp_path: Path) -> PlutoCommand:
    """Return a function that runs `pluto ARGUMENTS` in a process of its own: `pluto("check", file, cwd=..., env=...)`."""

    def run(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 300) -> Outcome:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUTO_")}
        variables = {**inherited, "PYTHONUTF8": "1", "COLUMNS": "120", **(env or {})}
        done = subprocess.run(
            [sys.executable, "-m", "pluto_core.cli.main", *map(str, arguments)],
            cwd=cwd or tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
        return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture(scope="session")
def local_plugins() -> Path:
    """Return the folder of plugins that only tests load; their modules can be imported."""
    folder = REPOSITORY / "tests" / "local_plugins"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return folder


@pytest.fixture(scope="session")
def toys(local_plugins: Path) -> Catalogue:
    """Return a catalogue of the plugin `toy_parts` alone."""
    return Catalogue.of(importlib.import_module("toy_parts"))
