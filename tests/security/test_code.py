"""Data names no code: whatever a file of data says, nothing of it is imported, called or run."""

import ast
import re
from functools import cache
from pathlib import Path

import attrs
import pytest

import pluto_devkit.config
from pluto_core.arrays import to_plain
from pluto_core.component import Component, hookimpl, load, setting
from pluto_core.errors import PlutoError
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.pipeline.manifest import Manifest
from pluto_core.plugins import Catalogue
from pluto_core.run.caches import stored_builders
from pluto_core.scene import Window

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("pluto_core", "plugins", "benchmarks", "docs", ".ci") for path in (ROOT / folder).rglob("*.py")]

READERS = {"pluto_devkit/pickles.py"}
"""Where pickles of others are read: by a class that looks every name up in a list."""
OWN_BYTES = {
    "pluto_basics/workers/serving.py",
    "pluto_core/jobs.py",
    "pluto_core/testing/builders.py",
    "pluto_core/testing/caches.py",
    "pluto_core/testing/sources.py",
    "pluto_ray/serving.py",
    "pluto_ray/steward.py",
    "benchmarks/cache.py",
    "benchmarks/peer.py",
}
"""Where bytes are unpickled that this program, or the driver of its cluster, has made."""


@cache
def nodes(path):
    """Return the syntax tree of a module, flat."""
    return list(ast.walk(ast.parse(path.read_bytes())))


def calls(path):
    """Yield every call of a module with the dotted name of what is called."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def options(call):
    """Return the keyword arguments of a call as source."""
    return {word.arg: ast.unparse(word.value) for word in call.keywords}


WORDS = re.compile(
    r"(?<![.\w])(eval|exec|compile|__import__)\(|os\.(system|popen)|yaml|marshal|shelve|pickle|torch\.load|shell\s*=|ckpt_path"
)
"""What every forbidden call holds, so that few modules need be parsed."""


def forbidden(path):
    """Yield what a module does that data could turn into code."""
    own = any(path.as_posix().endswith(name) for name in OWN_BYTES | READERS)
    for name, call in calls(path):
        given = options(call)
        leaf = name.rpartition(".")[2]
        if name in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"} or name.startswith(
            ("yaml.", "marshal.", "shelve.")
        ):
            yield name
        if name in {"pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads"} and not own:
            yield name
        if name == "torch.load" and given.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if (
            leaf in {"load", "memmap", "read_array"}
            and name.startswith(("np.", "numpy."))
            and given.get("allow_pickle") not in {None, "False"}
        ):
            yield f"{name} with allow_pickle"
        if given.get("shell") not in {None, "False"}:
            yield f"{name} with shell"
        if leaf == "fit" and "ckpt_path" in given and given.get("weights_only") != "True":
            yield "fit from a checkpoint without weights_only=True"


def test_the_search_covers_the_program():
    """The modules that are searched are all there are, the plugins' among them."""
    assert len(SOURCES) > 300
    assert {path.parent.name for path in SOURCES} >= {"pipeline", "pluto_lmdb", "pluto_devkit", "maps", "benchmarks"}


def test_no_module_runs_data():
    """No eval, exec, shell, YAML, marshal; no pickle but the guarded reader's and our own; weights and arrays as data only."""
    found = {path.relative_to(ROOT).as_posix(): list(forbidden(path)) for path in SOURCES if WORDS.search(path.read_text())}
    assert {path: what for path, what in found.items() if what} == {}


HOSTILE = {
    "eval": "eval('1')",
    "a shell": "subprocess.run('ls', shell=True)",
    "a pickle": "pickle.loads(data)",
    "a checkpoint": "torch.load(path)",
    "objects in arrays": "np.load(path, allow_pickle=True)",
    "YAML": "yaml.load(text)",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_search_finds_what_it_looks_for(text, tmp_path):
    """A module with any of them is found."""
    (tmp_path / "module.py").write_text(text)
    assert WORDS.search(text)
    assert list(forbidden(tmp_path / "module.py"))


SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "PRAGMA ", "ATTACH ", "WITH ")
NAMES_ONLY = {
    "plugins/pluto_nuplan/doctor.py": {"marks"},
    "plugins/pluto_nuplan/maps/geopackage.py": {"selected", "_quoted(name)", "lengths"},
    "plugins/pluto_nuplan/logs/tables.py": {
        "_token('p.token', 'token')",
        "_token('p.scene_token', 'scene')",
        "_token('p.token', 'frame')",
        "_token('s.token', 'token')",
        "_token('lidar_pc_token', 'frame')",
        "_token('t.token', 'token')",
        "_token('track_token', 'track')",
        "_POSE",
        "_MOTION",
    },
}
"""What is put into SQL as text: question marks, and columns and layers that the program itself names, in quotes."""


def test_values_reach_sql_as_parameters_only():
    """SQL is put together from names of columns that stand in the program; what a file or a person says is a parameter."""
    found = {}
    for path in (path for path in SOURCES if not {"synth", "benchmarks"} & set(path.parts) and "SELECT" in path.read_text()):
        for node in nodes(path):
            if isinstance(node, ast.JoinedStr) and ast.unparse(node).lstrip("f'\"").startswith(SQL):
                parts = {ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)}
                found.setdefault(path.relative_to(ROOT).as_posix(), set()).update(parts)
    assert found == NAMES_ONLY


@attrs.frozen(kw_only=True)
class NamingConfig:
    """A builder that somebody else wrote."""

    builder: str | None = setting(None, "What to call.", code=True)
    name: str = setting("plain", "No code.")


class Naming:
    """A builder made by what its settings name."""

    version, spec = "1", {}
    window = Window(history_s=0.0, future_s=0.0)
    made = 0

    def __init__(self, config, _context):
        type(self).made += 1


class Plugin:
    """Offers it."""

    @staticmethod
    @hookimpl
    def pluto_register_features():
        """Return the component."""
        return [Component("naming", factory=f"{__name__}:Naming", config=f"{__name__}:NamingConfig", summary="Calls a name.")]


def manifest_with(tag, **config):
    told = {"version": "1", "config": config, "window": attrs.asdict(Naming.window), "spec": to_plain({})}
    return Manifest(store="files", suffix=".files", fingerprint=Fingerprint(builders={tag: told}))


def test_a_manifest_cannot_have_code_called():
    """A cache whose manifest names code in a builder's settings is read without that builder; plain settings make it."""
    catalogue = Catalogue.of(Plugin)
    assert stored_builders(manifest_with("naming", builder=None, name="plain"), catalogue).tags == ["naming"]
    before = Naming.made
    assert before
    assert stored_builders(manifest_with("naming", builder="os:abort", name="plain"), catalogue).tags == []
    assert Naming.made == before


@pytest.mark.parametrize("kind", ["FeatureConfig", "TargetConfig"])
def test_builders_of_the_devkit_are_made_for_experiments_only(kind):
    """Everything of their settings that ends as a call is marked as code."""
    fields = attrs.fields(getattr(pluto_devkit.config, kind))
    assert {field.name for field in fields if field.metadata.get("code")} == {"builder", "model", "arguments"}


def test_a_name_that_is_no_import_string_runs_nothing():
    """What looks up a name refuses texts that are no name."""
    for text in ("os.system", "os:system('x')", ":", "os:"):
        with pytest.raises(PlutoError):
            load(text)
