"""What is published: the wheel is the packages and nothing else, the sdist makes the same wheel, the metadata is true."""

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

from pluto_core.experiment.tomltext import tomllib

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="building a wheel needs hatchling")


def build(source: Path, target: Path, kind: str) -> Path:
    """Return the one distribution of a kind, built from a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    (built,) = target.iterdir()
    return built


def contents(wheel: Path) -> dict[str, str]:
    """Return the hash of each file of a wheel, by path."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    """Return what pyproject.toml says."""
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel built from the tree."""
    return build(repository, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sdist built from the tree."""
    return build(repository, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return the metadata that an index shows."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(opened.read(name).decode())


def test_every_package_is_published(repository: Path, project: dict) -> None:
    """The core and all plugins are in the list of packages, each typed."""
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    there = sorted(path.parent.relative_to(repository).as_posix() for path in repository.glob("plugins/*/__init__.py"))
    assert packages == ["pluto_core", *there]
    assert all((repository / package / "py.typed").is_file() for package in packages)


def test_wheel_is_the_packages(repository: Path, project: dict, wheel: Path) -> None:
    """Each file of a package is in the wheel, presets, templates and lists of scenarios among them, and no other file."""
    expected = set()
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        folder = repository / package
        files = (path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file())
        expected |= {path.as_posix() for path in files if "__pycache__" not in path.parts}
    found = {name for name in contents(wheel) if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    assert found == expected


def test_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """Who builds from the sdist gets our wheel, byte for byte."""
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert contents(build(source, tmp_path / "again", "wheel")) == contents(wheel)


def test_sdist_can_be_tested(repository: Path, sdist: Path) -> None:
    """The sdist has what its tests, its documentation and its licence need, and nothing that git leaves out."""
    with tarfile.open(sdist) as opened:
        found = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in opened.getnames()}
    ignored = (repository / ".gitignore").read_text(encoding="utf-8").split()
    assert {"LICENSE", "NOTICE", "tox.ini", "constraints.txt", "tests/conftest.py", "docs/conf.py"} <= found
    assert {path.relative_to(repository).as_posix() for path in repository.glob("experiments/*.toml")} <= found
    assert not [name for name in found for part in name.split("/") if part in ignored or f"{part}/" in ignored]


def test_metadata_is_true(metadata: Message, project: dict) -> None:
    """Name, licence and page are there; each Python that tox tests is named; nothing that we need lacks a lower bound."""
    assert metadata["Name"] == "pluto-framework"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# pluto\n")
    pythons = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier") if line.startswith("Programming Language")]
    assert [version for version in pythons if "." in version] == ["3.10", "3.11", "3.12", "3.13"]
    assert metadata["Requires-Python"] == ">=3.10"
    bounded = re.compile(r"[\w.-]+(\[\w+\])?(<[\d.]+,)?>=\d")
    assert [line for line in metadata.get_all("Requires-Dist") if not bounded.match(line)] == []
    assert len(project["project"]["dependencies"]) > 10


def test_entry_points_are_in_the_wheel(project: dict, wheel: Path) -> None:
    """The command, each plugin and each command of a plugin name a module of the wheel."""
    named = {**project["project"]["scripts"], **project["project"]["entry-points"]["pluto"]}
    named |= project["project"]["entry-points"]["pluto.commands"]
    modules = {EntryPoint(name=name, value=value, group="").module for name, value in named.items()}
    assert {f"{module.replace('.', '/')}.py" for module in modules} <= contents(wheel).keys()


def test_constraints_name_what_we_depend_on(repository: Path, project: dict) -> None:
    """What CI installs is pinned: each dependency, of the project and of its extra `dev`, for each Python."""
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(line for name in extras for line in extras[name])]
    names = {re.split(r"[\[<>=; ]", line, maxsplit=1)[0].lower() for line in wanted} - {"pluto-framework"}
    assert names - pinned == set()
