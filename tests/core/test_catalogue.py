"""The catalogue: what plugins offer, and how one that is broken stays alone with it."""

import importlib
import subprocess
import sys
import types

import pytest

from pluto_core import Component, Context, PlutoError, hookimpl
from pluto_core.kinds import KINDS
from pluto_core.plugins import Catalogue, PluginBugError, discovery
from pluto_core.plugins.extras import missing_of


class _Distribution:
    """What an entry point says of its distribution."""

    def __init__(self, name):
        self.name = name
        self.version = "1.0"


class _Entry:
    """An entry point, as `importlib.metadata` gives it."""

    def __init__(self, name, value, distribution):
        self.name, self.value, self.dist = name, value, _Distribution(distribution)

    def load(self):
        """Import the module."""
        return importlib.import_module(self.value)


@pytest.fixture
def installed(monkeypatch, local_plugins):
    """Return a function that stands in for what is installed: `installed(("name", "module", "distribution"), ...)`."""

    def install(*entries):
        found = [_Entry(*entry) for entry in entries]
        monkeypatch.setattr(discovery, "entry_points", lambda group: found if group == "pluto" else [])

    return install


TOYS = ("toys", "toy_parts", "pluto-toys")


def test_entry_points(installed):
    """Installed plugins are found, with name, distribution and version."""
    installed(TOYS)
    catalogue = Catalogue.load(environment={})
    assert [(plugin.name, plugin.distribution, plugin.version) for plugin in catalogue.plugins] == [
        ("toys", "pluto-toys", "1.0")
    ]
    assert catalogue.component("caches", "memory").summary == "The part memory."
    assert "toy-whole" in catalogue.presets


def test_nothing_is_kept_between_catalogues(installed):
    """A catalogue is built anew: plugins that are gone are gone."""
    installed(TOYS)
    assert Catalogue.load(environment={}).components("sources")
    installed()
    assert not any(Catalogue.load(environment={}).components(kind.name) for kind in KINDS)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("unimportable", "it failed to import: ModuleNotFoundError: No module named 'no_such_library'"),
        ("hook_misspelt", "there is no hook 'pluto_register_model'; did you mean 'pluto_register_models'?"),
        ("raises_in_hook", "ZeroDivisionError: division by zero"),
        ("json", "it holds no hook; mark its functions with @hookimpl"),
        ("wrong_answer", "pluto_register_sources returned 'toy' where a Component belongs"),
    ],
)
def test_broken_plugin(installed, module, reason):
    """A broken plugin is set aside with its error and its traceback; the others work, and nothing of it is offered."""
    installed(("bad", module, "pluto-bad"), TOYS)
    catalogue = Catalogue.load(environment={})
    assert [plugin.name for plugin in catalogue.plugins] == ["toys"]
    assert catalogue.broken["bad"].reason == reason
    assert "Traceback" in catalogue.broken["bad"].trace
    assert not catalogue.has("workers", "ghost")
    assert catalogue.hooks.pluto_register_workers() == [
        [catalogue.component("workers", name) for name in ("sequential", "many")]
    ]


def test_unknown_component(installed):
    """An unknown name comes with a suggestion, and with the broken plugins that might have offered it."""
    installed(TOYS, ("bad", "unimportable", "pluto-bad"))
    with pytest.raises(PlutoError) as caught:
        Catalogue.load(environment={}).component("caches", "memori")
    assert str(caught.value) == (
        "no cache is called 'memori'; did you mean 'memory'? (plugin 'bad' (pluto-bad 1.0) is set aside: "
        "it failed to import: ModuleNotFoundError: No module named 'no_such_library')"
    )


def test_two_components_of_one_name(installed):
    """Two components of one kind and name are refused, naming both packages."""
    installed(TOYS, ("rival", "rival_parts", "pluto-rival"))
    with pytest.raises(
        PlutoError, match=r"'toy': one of plugin 'rival' \(pluto-rival 1\.0\), one of plugin 'toys' \(pluto-toys 1\.0\)"
    ):
        Catalogue.load(environment={})
    assert Catalogue.load(without=["rival"], environment={}).has("sources", "toy")


def test_two_plugins_of_one_name(installed):
    """Two plugins of one name are refused, naming both distributions; one that is merely found twice is not."""
    installed(TOYS, TOYS)
    assert len(Catalogue.load(environment={}).plugins) == 1
    installed(TOYS, ("toys", "rival_parts", "pluto-rival"))
    with pytest.raises(
        PlutoError, match=r"two plugins are called 'toys': pluto-rival \(rival_parts\) and pluto-toys \(toy_parts\)"
    ):
        Catalogue.load(environment={})


def test_without(installed):
    """Plugins can be left out by option and by environment; a misspelt option is a mistake, a stale variable is not."""
    installed(TOYS, ("rival", "rival_parts", "pluto-rival"))
    for left_out in (
        Catalogue.load(without=["rival"], environment={}),
        Catalogue.load(environment={"PLUTO_WITHOUT": "gone, rival"}),
    ):
        assert [plugin.name for plugin in left_out.plugins] == ["toys"]
    with pytest.raises(PlutoError, match=r"--without rivel: there is no such plugin; did you mean 'rival'\?"):
        Catalogue.load(without=["rivel"], environment={})


def test_local_module(installed):
    """A module is a plugin by its name alone, once, also where an entry point names it too."""
    installed()
    assert Catalogue.load(modules=["toy_parts"], environment={}).plugins[0].distribution == ""
    installed(TOYS)
    assert len(Catalogue.load(modules=["toy_parts"], environment={}).plugins) == 1


def test_name_under_another_section(toys):
    """A name that another kind has leads to that kind's section."""
    with pytest.raises(PlutoError, match=r"no model is called 'toy_truth'; 'toy_truth' belongs under \[\[targets\]\]"):
        toys.component("models", "toy_truth")


def test_facts_are_kept(toys):
    """What is made is what was promised; a promise that is broken is the plugin's bug."""
    with pytest.raises(PluginBugError, match=r"cache 'memory' promises shared = False and has None"):
        toys.make("caches", "memory", None, Context())
    catalogue = Catalogue.load(environment={})
    for kind, name in (("caches", "memory"), ("caches", "files"), ("caches", "lmdb"), ("workers", "sequential")):
        config = catalogue.config_class(kind, name)()
        assert catalogue.component(kind, name).facts
        assert catalogue.make(kind, name, config, Context())


def test_facts_of_sources():
    """What the bundled sources promise to answer is what they answer; those of an extra show it in their own tests."""
    catalogue = Catalogue.load(environment={})
    for component in catalogue.components("sources"):
        if component.facts and component.extra is None:
            module = importlib.import_module(component.factory.partition(":")[0])
            classes = [found for found in vars(module).values() if isinstance(found, type) and "answers" in vars(found)]
            assert [found.answers for found in classes] == [component.facts["answers"]]


def test_facts_that_nobody_asks_for(installed, monkeypatch):
    """A promise that no kind knows sets its plugin aside."""
    odd = types.ModuleType("odd_facts")
    odd.pluto_register_workers = hookimpl(
        lambda: [Component("odd", factory="a:b", config="a:c", summary="Odd.", facts={"colour": "red"})]
    )
    monkeypatch.setitem(sys.modules, "odd_facts", odd)
    installed(("odd", "odd_facts", "pluto-odd"))
    reason = Catalogue.load(environment={}).broken["odd"].reason
    assert reason == "pluto_register_workers: 'odd' promises 'colour', of which nobody asks; facts are processes"


def test_missing_extra(tmp_path, monkeypatch):
    """What is not installed of an extra is known from metadata alone; other extras and plain dependencies do not count."""
    folder = tmp_path / "toyshop-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toyshop\nVersion: 1.0\nRequires-Dist: attrs\n"
        'Requires-Dist: no-such-lib[fast]>=2.0; extra == "remote"\nRequires-Dist: pytest; extra == "remote"\n'
        "Requires-Dist: other-lib; extra == 'else'\nRequires-Dist: old-lib; python_version < '3.0' and extra == 'remote'\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert missing_of("toyshop", "remote") == ("no-such-lib",)
    assert missing_of("toyshop", "else") == ("other-lib",)
    assert missing_of("toyshop", None) == missing_of("", "remote") == missing_of("not-there", "remote") == ()


def test_bundled_plugins_work():
    """None of the installed plugins is broken, and every default exists."""
    catalogue = Catalogue.load(environment={})
    assert dict(catalogue.broken) == {}
    for kind in KINDS:
        assert kind.default is None or catalogue.has(kind.name, kind.default)


def test_bundled_presets_can_be_read():
    """Every preset is a file that its plugin ships."""
    for preset in Catalogue.load(environment={}).presets.values():
        assert preset.read()


def test_bundled_configs_can_be_described():
    """Every config class can be imported and described without numpy and torch."""
    code = (
        "import sys\nfrom pluto_core.plugins import Catalogue\nfrom pluto_core.kinds import KINDS\n"
        "from pluto_core.cli.describe import describe\nfrom pluto_core.cli.schema import experiment_schema\n"
        "catalogue = Catalogue.load()\n"
        "for kind in KINDS:\n    for one in catalogue.components(kind.name):\n        describe(catalogue, kind, one)\n"
        "experiment_schema(catalogue)\n"
        "assert not {'numpy', 'torch'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
