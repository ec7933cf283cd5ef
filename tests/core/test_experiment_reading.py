"""What an experiment file becomes: layers, settings, defaults, builders that the model asks for, the resolved text."""

import importlib
import os
import sys
import types
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pluto_core import Context, PlutoError, hookimpl
from pluto_core.errors import ExperimentError
from pluto_core.experiment import read
from pluto_core.plugins import Catalogue, PluginBugError

BASE = '[source]\nuse = "toy"\ndata_root = "logs"\n[model]\nuse = "toy"\n'


@pytest.fixture
def load(tmp_path, toys):
    """Return a function that writes a file and reads it: `load(text, *settings, **environment)`."""

    def loaded(text=BASE, *settings, name="a.toml", **environment):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return read(path, settings=settings, catalogue=toys, environment=environment)

    return loaded


def config(experiment, section="source"):
    """Return the config of the first component of a section."""
    return experiment.selected(section)[0].config


def test_defaults(load):
    """Sections that a file leaves out get the default component; the model asks for builders and its objective."""
    experiment = load()
    uses = {name: [found.use for found in experiment.selected(name)] for name in ("cache", "splitter", "features", "targets")}
    assert uses == {"cache": ["lmdb"], "splitter": ["by_log"], "features": ["toy"], "targets": ["toy_truth"]}
    assert experiment.selected("objective")[0].use == "toy"
    assert experiment.selected("augmentations") == ()
    assert experiment.name == "a"
    assert experiment.cache.path == str(Path("runs") / "cache")
    assert config(experiment, "features").steps == 21


def test_named_builders_stay(load):
    """A file that names its features keeps them; only targets come from the model."""
    experiment = load(
        BASE + '[[features]]\nuse = "toy"\nsteps = 21\nprefix = "agent"\n[[features]]\nuse = "toy"\nprefix = "more"'
    )
    assert [found.config.prefix for found in experiment.selected("features")] == ["agent", "more"]
    assert [found.use for found in experiment.selected("targets")] == ["toy_truth"]
    assert set(experiment.sample_spec()) == {"agent/position", "more/position", "truth/trajectory"}


def test_none_of_a_default(load):
    """An empty array turns a default off."""
    assert load("loggers = []\n" + BASE).selected("loggers") == ()


def test_types(load):
    """Every type of setting arrives as what the config class says."""
    text = """
data_root = ["a", "b"]
count = 7
share = 1
mode = "exact"
colour = "blue"
folder = "x/y"
parts = [{alpha = 3}, {}]
pair = [4, "b"]
limit = 0.5
flag = true
[source.inner]
beta = 3
[source.weights]
a = 2
"""
    found = config(load('[source]\nuse = "toy"' + text + '[model]\nuse = "toy"'))
    assert found.data_root == ("a", "b")
    assert (found.count, found.share, found.mode, found.colour.value, found.folder) == (7, 1.0, "exact", "blue", Path("x/y"))
    assert isinstance(found.share, float)
    assert [part.alpha for part in found.parts] == [3, 1]
    assert (found.pair, found.limit, found.flag, found.inner.beta, found.weights) == ((4, "b"), 0.5, True, 3.0, {"a": 2.0})


def test_extends(load, tmp_path):
    """Tables merge by key, arrays are replaced, the parent's folder is the child's."""
    load('seed = 1\n[source]\nuse = "toy"\ndata_root = ["a", "b"]\ncount = 5\n[model]\nuse = "toy"', name="base.toml")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "middle.toml").write_text('extends = "../base.toml"\n[source]\ncount = 6\n', encoding="utf-8")
    experiment = load('extends = "below/middle.toml"\n[source]\ndata_root = ["c"]\ninner.alpha = 9\n')
    found = config(experiment)
    assert (experiment.seed, found.count, found.data_root, found.inner.alpha) == (1, 6, ("c",), 9)
    assert experiment.name == "a"


def test_extends_preset(load):
    """A preset is the lowest layer of a file."""
    experiment = load('extends = "preset:toy-whole"\n[model]\ndim = 9\n')
    assert (experiment.seed, config(experiment).data_root, config(experiment, "model").dim) == (7, "preset", 9)


def test_preset_in_a_table(load):
    """A table's preset lies under that table, from a bare table as from a whole experiment."""
    experiment = load(
        BASE.replace("data_root", 'preset = "toy-whole"\ncount').replace('"logs"', "4")
        + '[filter]\npreset = "toy-few"\nlimit_total_scenarios = 6'
    )
    assert (config(experiment).data_root, config(experiment).count) == ("preset", 4)
    assert (experiment.filter.limit_total_scenarios, experiment.filter.shuffle) == (6, True)


def test_preset_by_setting(load):
    """A preset can be chosen on the command line."""
    assert load(BASE, "filter.preset=toy-few").filter.limit_total_scenarios == 5


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_root=a b", "a b"),
        ("data_root=5", "5"),
        ('data_root="5"', "5"),
        ('data_root=["5"]', ("5",)),
        ("data_root=/x=y", "/x=y"),
        ("data_root=", ""),
        ("data_root= # x", "# x"),
    ],
)
def test_setting_of_text(load, setting, value):
    """Unquoted text is taken verbatim where the key takes strings; TOML stays TOML."""
    assert config(load(BASE, f"source.{setting}")).data_root == value


@pytest.mark.parametrize(
    ("setting", "get", "value"),
    [
        ("count=4", lambda found: found.count, 4),
        ("share=1", lambda found: found.share, 1.0),
        ("flag=true", lambda found: found.flag, True),
        ("limit=3", lambda found: found.limit, 3),
        ("mode=exact", lambda found: found.mode, "exact"),
        ("folder=true", lambda found: found.folder, Path("true")),
        ("inner.alpha=4", lambda found: found.inner.alpha, 4),
        ("inner={beta=4}", lambda found: found.inner.beta, 4.0),
        ("parts=[{alpha=4}]", lambda found: found.parts[0].alpha, 4),
        ('weights."a.b"=4', lambda found: found.weights, {"a.b": 4.0}),
        ("unit=ft", lambda found: found.unit, "ft"),
    ],
)
def test_setting(load, setting, get, value):
    """A setting is read as its key's type asks."""
    found = get(config(load(BASE, f"source.{setting}")))
    assert found == value
    assert type(found) is type(value)


def test_later_settings_win(load):
    """Settings apply in order, also inside arrays that an earlier one made."""
    experiment = load(BASE, "source.parts=[{alpha=1}, {}]", "source.parts.1.alpha=5", "seed=1", "seed=2")
    assert [part.alpha for part in config(experiment).parts] == [1, 5]
    assert experiment.seed == 2


def test_setting_inside_an_array_of_tables(load):
    """A number in a key picks an element; the others stay."""
    text = BASE + '[[features]]\nuse = "toy"\n[[features]]\nuse = "toy"\nprefix = "b"\n'
    experiment = load(text, "features.1.prefix=c")
    assert [found.config.prefix for found in experiment.selected("features")] == ["agent", "c"]


def test_swap_of_a_component(load):
    """Another component on the command line drops what the file set for the first one, and says so."""
    experiment = load(BASE + '[cache]\npath = "p"\nsteps = 3\n', "cache.use=memory")
    assert experiment.selected("cache")[0].use == "memory"
    assert experiment.cache.path == "p"
    assert [note.key for note in experiment.notes] == ["cache.steps"]


def test_swap_in_the_same_file_is_strict(load):
    """In one file, a key that the component does not have stays a mistake."""
    with pytest.raises(ExperimentError, match=r"cache\.steps: unknown key"):
        load(BASE + '[cache]\nuse = "memory"\nsteps = 3\n')


def test_environment(load):
    """Variables are replaced in strings, defaults where they are not set, also in settings and `extends`."""
    load(BASE, name="base.toml")
    text = 'extends = "${WHICH}.toml"\n[source]\ndata_root = "${ROOT}/${SUB:logs}:${EMPTY:}"\n'
    experiment = load(text, "output_dir=${OUT}/x", WHICH="base", ROOT="/r", OUT="o")
    assert config(experiment).data_root == "/r/logs:"
    assert experiment.output_dir == Path("o/x")
    assert experiment.unset == ()


def test_unset_variable(load):
    """A variable that is not set is a note for `check`; only a run fails on it."""
    experiment = load(BASE.replace("logs", "${NOWHERE}/x"))
    assert config(experiment).data_root == "${NOWHERE}/x"
    assert [note.key for note in experiment.unset] == ["source.data_root"]
    with pytest.raises(ExperimentError, match=r"a\.toml:3: source\.data_root: the environment variable NOWHERE is not set"):
        experiment.require_variables()


def test_train_from_a_cache(load):
    """No source is needed where there is a cache."""
    experiment = load('[cache]\npath = "c"\n[model]\nuse = "toy"')
    assert experiment.selected("source") == ()
    assert experiment.make("source", Context()) is None


def test_only_caching(load):
    """An experiment that only caches needs no model, and no default that no plugin offers."""
    experiment = load('steps = ["cache"]\n[source]\nuse = "toy"\ndata_root = "x"\n[[features]]\nuse = "toy"\n')
    assert experiment.requirement() is None
    assert experiment.selected("loggers") == ()


def test_make(load):
    """Factories get their config and the context, and nothing else."""
    context = Context(seed=3)
    experiment = load(BASE + '[[features]]\nuse = "toy"\n')
    assert experiment.make("source", context) == (config(experiment), context)
    assert [made[0].prefix for made in experiment.make_all("features", context)] == ["agent"]


def test_missing_extra(load):
    """A component whose extra is not installed says what to install."""
    experiment = load('[source]\nuse = "remote"\n[model]\nuse = "toy"')
    with pytest.raises(PlutoError, match=r"source 'remote' needs the extra 'remote'.*pip install 'toy_parts\[remote\]'"):
        experiment.make("source", Context())


def test_extra_that_is_missing_is_told_early(tmp_path, monkeypatch):
    """`check` notes an extra that is not installed, from metadata; a run refuses to start without it."""
    folder = tmp_path / "toyshop-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        'Metadata-Version: 2.1\nName: toyshop\nVersion: 1.0\nRequires-Dist: no-such-lib; extra == "remote"\n', encoding="utf-8"
    )
    (folder / "entry_points.txt").write_text("[pluto]\ntoyshop = toy_parts\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "a.toml"
    path.write_text('[source]\nuse = "remote"\n[model]\nuse = "toy"\n', encoding="utf-8")
    bundled = [entry.name for entry in entry_points(group="pluto") if entry.name != "toyshop"]
    experiment = read(path, environment={}, without=bundled)
    text = "'remote' needs the extra 'remote', which is not installed (no no-such-lib): pip install 'toyshop[remote]'"
    assert [str(note) for note in experiment.lacking] == [f"{path}:1: source: {text}"]
    with pytest.raises(ExperimentError, match=r"pip install 'toyshop\[remote\]'"):
        experiment.require_extras()


def test_a_filter_is_not_held_against_a_cache(load):
    """What the source cannot answer is no mistake where the cache alone is read: it may hold the listing of that filter."""
    tables = {"source": 'use = "narrow"', "model": 'use = "toy"', "worker": 'use = "many"', "filter": "ego_route_radius = 2.0"}
    text = "".join(f"[{name}]\n{keys}\n" for name, keys in tables.items())
    assert load(text + '[cache]\nuse = "memory"\nonly = true\n').filter.ego_route_radius == 2.0


def test_resolved_repeats(load):
    """The resolved text is an experiment with the same settings, resolves to itself, and names origins."""
    text = (
        "extends = 'preset:toy-whole'\n"
        + BASE
        + '[filter]\npreset = "toy-few"\nlog_names = ["a", "b \\" # c"]\n[[features]]\nuse = "toy"'
    )
    experiment = load(text, "source.count=9", 'source.weights={"a.b" = 1, c = 2}', "source.parts=[{alpha=4}]")
    assert "count = 9" in experiment.resolved
    assert [line for line in experiment.resolved.splitlines() if line.startswith("count = 9")][0].endswith("# --set")  # noqa: RUF015
    again = load(experiment.resolved, name="again/run.toml")
    assert again.settings == experiment.settings
    strip = [line.split("  #")[0].rstrip() for line in experiment.resolved.splitlines()[1:]]
    assert strip == [line.split("  #")[0].rstrip() for line in again.resolved.splitlines()[1:]]
    for section in ("source", "features", "targets", "model", "cache"):
        assert [found.config for found in again.selected(section)] == [found.config for found in experiment.selected(section)]


def test_a_variable_that_is_no_text(load):
    """Bytes of a variable that are no UTF-8 could not be written to `run.toml`: a mistake, not a crash later."""
    with pytest.raises(ExperimentError) as caught:
        load(BASE.replace("logs", "${ODD}"), ODD=os.fsdecode(b"/data/\xff"))
    assert [mistake.problem for mistake in caught.value.mistakes] == ["must be UTF-8 text"]


def test_local_plugin(tmp_path, monkeypatch):
    """A module beside the file can be named in `plugins`, also by a variable; the resolved text names it too."""
    (tmp_path / "beside_the_file.py").write_text(
        "import attrs\nfrom pluto_core import Component, hookimpl\n\n"
        "@attrs.frozen(kw_only=True)\nclass Config:\n    size: int = 1\n\n\n"
        "@hookimpl\ndef pluto_register_sources():\n"
        '    return [Component("beside", factory="beside_the_file:make", config="beside_the_file:Config", summary="x")]\n',
        encoding="utf-8",
    )
    path = tmp_path / "a.toml"
    path.write_text(
        'steps = ["cache"]\nplugins = ["beside_${WHERE}"]\n[source]\nuse = "beside"\n[[features]]\nuse = "pluto"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    experiment = read(path, environment={"WHERE": "the_file"})
    assert config(experiment).size == 1
    assert 'plugins = ["beside_the_file"]' in experiment.resolved


LOCAL = """
import attrs
from pluto_core import Component, hookimpl

@attrs.frozen(kw_only=True)
class Config:
    size: int = 1

@hookimpl
def pluto_register_sources():
    return [Component("afar", factory="afar_parts:make", config="afar_parts:Config", summary="x")]
"""


@pytest.mark.parametrize("place", ["beside", "beside its parent", "in plugin_folders", "in the working directory"])
def test_resolved_text_finds_local_plugins(tmp_path, monkeypatch, place):
    """A run.toml repeats the run from anywhere: the plugin lies beside the file, beside its parent, or where the run began."""
    for folder in ("parts", "mine", "runs"):
        (tmp_path / folder).mkdir()
    text = 'steps = ["cache"]\nplugins = ["afar_parts"]\n[source]\nuse = "afar"\n[[features]]\nuse = "pluto"\n'
    (tmp_path / "parts" / "afar_parts.py").write_text(LOCAL, encoding="utf-8")
    (tmp_path / "parts" / "a.toml").write_text(text, encoding="utf-8")
    (tmp_path / "mine" / "b.toml").write_text('extends = "../parts/a.toml"', encoding="utf-8")
    (tmp_path / "mine" / "c.toml").write_text(f"plugin_folders = ['{tmp_path / 'parts'}']\n{text}", encoding="utf-8")
    (tmp_path / "mine" / "d.toml").write_text(text, encoding="utf-8")
    names = {"beside": "parts/a.toml", "beside its parent": "mine/b.toml", "in plugin_folders": "mine/c.toml"}
    if place == "in the working directory":
        monkeypatch.chdir(tmp_path / "parts")

    def fresh(path):
        monkeypatch.delitem(sys.modules, "afar_parts", raising=False)
        monkeypatch.setattr(sys, "path", [part for part in sys.path if not part.startswith(str(tmp_path))])
        return read(path, environment={})

    experiment = fresh(tmp_path / names.get(place, "mine/d.toml"))
    monkeypatch.chdir(tmp_path)
    stored = tmp_path / "runs" / "run.toml"
    stored.write_text(experiment.resolved, encoding="utf-8")
    again = fresh(stored)
    assert again.settings == experiment.settings
    assert again.settings["plugin_folders"] == [str((tmp_path / "parts").resolve())]


def test_a_plugin_folder_that_is_no_path(tmp_path, monkeypatch):
    """A folder that cannot be one is a mistake at its key."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "a.toml"
    path.write_text('plugins = ["json"]\nplugin_folders = ["a\\u0000", "none"]\n' + BASE, encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"a\.toml:2: plugin_folders\.0: must not hold the character NUL"):
        read(path, environment={})


def test_a_plugin_folder_that_cannot_be_entered(tmp_path, monkeypatch, toys):
    """The run of somebody else names a folder of theirs; where the plugin is found without it, nothing is said."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "a.toml"
    path.write_text(f'plugins = ["json"]\nplugin_folders = ["{"a" * 300}"]\n' + BASE, encoding="utf-8")
    assert read(path, catalogue=toys, environment={}).settings["plugin_folders"] == []


def test_broken_local_plugin(tmp_path, monkeypatch):
    """A local plugin that cannot be imported is a mistake at the key that names it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "a.toml"
    path.write_text('plugins = ["nowhere_to_be_found"]\n' + BASE, encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"a\.toml:1: plugins: plugin 'nowhere_to_be_found' .* No module named"):
        read(path, environment={})


def test_a_check_that_answers_nonsense(tmp_path, local_plugins):
    """What a plugin's check returns must be mistakes; anything else is its bug, and named so."""
    assert local_plugins
    odd = types.ModuleType("odd_check")
    odd.pluto_check_experiment = hookimpl(lambda experiment: ["no"] if experiment else [])
    path = tmp_path / "a.toml"
    path.write_text(BASE, encoding="utf-8")
    with pytest.raises(PluginBugError, match="pluto_check_experiment returned 'no' where a Mistake belongs"):
        read(path, catalogue=Catalogue.of(importlib.import_module("toy_parts"), odd), environment={})


def test_home_folder(load, monkeypatch):
    """`~` in `output_dir` is the home folder, as in every other path; a user who does not exist is no traceback."""
    monkeypatch.setenv("HOME", "/home/somebody")
    experiment = load(BASE, "output_dir=~/runs")
    assert experiment.output_dir == Path("/home/somebody/runs")
    assert 'output_dir = "~/runs"' in experiment.resolved
    assert load(BASE, "output_dir=~nobody-at-all/runs").output_dir == Path("~nobody-at-all/runs")
