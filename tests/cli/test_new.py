import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pluto_core.cli.describe import settings
from pluto_core.cli.new_experiment import experiment_text
from pluto_core.cli.new_plugin import component_name, write_package
from pluto_core.errors import PlutoError
from pluto_core.experiment import read
from pluto_core.experiment.tomltext import loads
from pluto_core.kinds import BY_SECTION
from pluto_core.plugins import Catalogue

NAMES = ["abc", "a-name-of-thirty-letters-or-so"]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(environment={})


@pytest.fixture(params=[*itertools.product(["features", "model"], NAMES)], ids="-".join, scope="module")
def package(request, catalogue, tmp_path_factory) -> Path:
    kind, name = request.param
    return write_package(name, kind, tmp_path_factory.mktemp(kind), catalogue)[0]


def python(*arguments: object, cwd: Path) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["features", pytest.param("model", marks=pytest.mark.slow)])
def test_tests_of_a_new_package_pass_at_once(kind: str, catalogue: Catalogue, tmp_path: Path) -> None:
    """What is written keeps every promise of its kind before anybody has touched or installed it."""
    package, _ = write_package("lanes", kind, tmp_path, catalogue)
    text = python("pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=package)
    assert "passed" in text


def test_lint_of_a_new_package_passes(package: Path) -> None:
    """Short or long, the name leaves the package free of complaints from the linter and the formatter it is set up for."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([ruff, *command, "."], cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_types_of_a_new_package_pass(package: Path) -> None:
    """The package passes mypy in its strict mode."""
    pytest.importorskip("mypy")
    python("mypy", "--strict", "--cache-dir", os.devnull, "src", cwd=package)


def test_experiment_of_a_new_package_passes_check(package: Path, pluto) -> None:
    """Where the package can be imported, its experiment has no mistake; `-p` stands in for installing it."""
    hooks = f"{package.name.replace('-', '_')}.hooks"
    env = {"PYTHONPATH": str(package / "src")}
    assert "ok" in pluto("check", package / "experiment.toml", "-p", hooks, env=env).ok()


@pytest.mark.slow
def test_a_new_model_trains(catalogue: Catalogue, pluto, tmp_path: Path) -> None:
    """The experiment of a new model runs to its end, pictures and all."""
    package, _ = write_package("calm", "model", tmp_path, catalogue)
    env = {"PYTHONPATH": str(package / "src"), "OMP_NUM_THREADS": "1", "PLUTO_CACHE_HOME": str(tmp_path / "home")}
    pluto("run", "experiment.toml", "-p", "pluto_calm.hooks", "--no-progress", cwd=package, env=env).ok()
    assert len(list((package / "runs" / "001" / "pictures").glob("*.png"))) == 3


def test_nothing_of_the_template_is_left(package: Path) -> None:
    """Every word of the templates is filled in."""
    for path in package.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert "$" not in path.read_text(encoding="utf-8"), path


def test_names_of_plugins(catalogue: Catalogue, tmp_path: Path) -> None:
    """The prefix is understood with either mark; folder, package and component are named alike."""
    assert component_name("lanes") == component_name("pluto-lanes") == component_name("pluto_lanes") == "lanes"
    root, _ = write_package("pluto-speed_limits", "features", tmp_path, catalogue)
    assert root == tmp_path / "pluto-speed-limits"
    assert (root / "src" / "pluto_speed_limits" / "hooks.py").exists()


@pytest.mark.parametrize(
    "name", ["", "Lanes", "1st", "a b", "lanes-", "_x", "a__b", "../a", "pluto-1", "ünder", "a" * 31, "a/b"]
)
def test_what_is_no_name_is_refused(name: str, pluto, tmp_path: Path) -> None:
    """A name that cannot be a package's is refused in one line with an example, and nothing is written."""
    outcome = pluto("new", "plugin", "--", name)
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {name!r} is no name for a plugin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("pluto", "features", "component features.pluto of plugin 'planner'"),
        ("planner", "features", "a plugin called 'planner'"),
        ("core", "features", "a Python package called 'pluto_core'"),
        ("constant-velocity", "model", "component model.constant_velocity of plugin 'lightning'"),
    ],
)
def test_names_that_are_taken_are_refused(name: str, kind: str, why: str, catalogue: Catalogue, tmp_path: Path) -> None:
    """Names of components, plugins and packages that exist are refused, saying whose they are."""
    with pytest.raises(PlutoError, match=re.escape(why)):
        write_package(name, kind, tmp_path, catalogue)
    assert list(tmp_path.iterdir()) == []


def test_folders_are_never_overwritten(pluto, tmp_path: Path) -> None:
    """A second call changes nothing and says what to do."""
    assert "python -m pytest" in pluto("new", "plugin", "lanes").ok()
    marked = tmp_path / "pluto-lanes" / "README.md"
    marked.write_text("mine", encoding="utf-8")
    again = pluto("new", "plugin", "lanes")
    assert again.code == 1
    assert "exists; nothing was written" in again.err
    assert marked.read_text(encoding="utf-8") == "mine"


def test_where_nothing_can_be_written(pluto, tmp_path: Path) -> None:
    """A place that is no folder is one message, for plugins and experiments alike."""
    (tmp_path / "file").touch()
    for command in (("plugin", "lanes", "--to", tmp_path / "file"), ("experiment", tmp_path / "file" / "x.toml")):
        outcome = pluto("new", *command)
        assert outcome.code == 1
        assert outcome.err.startswith("error: cannot write")
        assert "Traceback" not in outcome.err


def test_a_new_experiment_passes_check(pluto, tmp_path: Path) -> None:
    """`pluto new experiment` writes a file without mistakes, and does not write over one."""
    pluto("new", "experiment", "mine.toml").ok()
    assert "mine.toml: ok" in pluto("check", "mine.toml").ok()
    before = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    again = pluto("new", "experiment", "mine.toml")
    assert again.code == 1
    assert "mine.toml exists" in again.err
    assert (tmp_path / "mine.toml").read_text(encoding="utf-8") == before


def test_experiments_of_every_source_and_model_pass_check(catalogue: Catalogue, tmp_path: Path) -> None:
    """Whatever source and model are chosen, the file has no mistake."""
    for source, model in itertools.product(catalogue.components("sources"), catalogue.components("models")):
        path = tmp_path / f"{source.name}-{model.name}.toml"
        path.write_text(experiment_text(path, source.name, model.name, catalogue), encoding="utf-8")
        chosen = read(path, environment={})
        assert [selection.use for selection in chosen.selected("source")] == [source.name]


def test_defaults_in_a_new_experiment_are_the_defaults(catalogue: Catalogue, tmp_path: Path) -> None:
    """Every default that stands there as a comment can be switched on, and changes no setting."""
    path, all_on = tmp_path / "same.toml", tmp_path / "on" / "same.toml"
    text = experiment_text(path, "nuplan", "pluto", catalogue)
    path.write_text(text, encoding="utf-8")
    all_on.parent.mkdir()
    tables = [table for table in text.split("\n\n") if "\n#[" not in table]  # those that are off stay off
    switched, count = re.subn(r"^#(\w+ = (?!<))", r"\1", "\n\n".join(tables), flags=re.MULTILINE)
    assert count > 50
    all_on.write_text(switched, encoding="utf-8")
    assert read(all_on, environment={}).settings == read(path, environment={}).settings


def test_a_new_experiment_sets_nothing_by_itself(catalogue: Catalogue) -> None:
    """What stands there without `#` is which components, what these cannot do without, and the few values to begin with."""
    begun = {"filter.num_scenarios_per_type", "trainer.epochs"}
    for source, model in itertools.product(catalogue.components("sources"), catalogue.components("models")):
        text = experiment_text(Path("x.toml"), source.name, model.name, catalogue)
        tables = {name: table for name, table in loads(text).items() if isinstance(table, dict)}
        for section, table in tables.items():
            config = catalogue.config_class(BY_SECTION[section].name, table["use"]) if "use" in table else None
            required = {key for key, _, default, _ in (settings(config) if config else ()) if default == "(required)"}
            for key, value in table.items():
                allowed = value == {} or key in {"use", *required} or f"{section}.{key}" in begun
                assert allowed, f"{section}.{key} = {value}"


def test_every_setting_is_in_a_new_experiment(catalogue: Catalogue) -> None:
    """The comment above a line is what `pluto plugins show` says; no setting is missing."""
    text = experiment_text(Path("x.toml"), "nuplan", "pluto", catalogue)
    for key in ("lr", "batch_size", "num_scenarios_per_type", "data_root", "dim", "readahead", "warmup_epochs", "max_failures"):
        assert re.search(rf"^# .+\n#?{key} = ", text, flags=re.MULTILINE), key


@pytest.mark.parametrize(("option", "word"), [("--source", "nuplam"), ("--model", "plutto")])
def test_unknown_components_are_refused(option: str, word: str, pluto, tmp_path: Path) -> None:
    """A source or model that nobody offers is refused with a suggestion, and nothing is written."""
    outcome = pluto("new", "experiment", option, word)
    assert outcome.code == 1
    assert "did you mean" in outcome.err
    assert list(tmp_path.iterdir()) == []
