"""A page for each kind of component: what it must do, what proves it, what there is."""

import inspect
from collections.abc import Iterator

import attrs

from pages.markdown import block, code, page, table
from pluto_core import hookspecs
from pluto_core.cli import describe
from pluto_core.component import Component, load
from pluto_core.kinds import KINDS, Kind
from pluto_core.plugins import Catalogue
from pluto_core.testing.guard import inherited_tests

WHEN = {
    "source": "Write one for recordings in another format. It translates them into scenes; every builder can then read them.",
    "features": "Write one to give models other inputs. `pluto new plugin NAME` writes a working one to begin with. "
    "What a scene holds: [scenes, maps and sketches](../reference/scenes.md).",
    "targets": "Write one to give objectives something else to learn. Targets are built, stored and batched like features.",
    "cache": "Write one to keep samples elsewhere. A backend stores one shard; folder, index, codec and resume are the core's.",
    "splitter": "Write one to divide scenarios by another rule.",
    "augmentations": "Write one to vary samples while training. What it returns are roles: the anchor, and variants of it.",
    "model": "Write one to plan otherwise. `pluto new plugin NAME --kind model` writes a variant of PLUTO to begin with.",
    "objective": "Write one to minimise something else. Where none is named, the one with the model's name is taken.",
    "optimizer": "Write one to step otherwise.",
    "schedule": "Write one to change the learning rate otherwise.",
    "trainer": "Write one to train with something other than Lightning.",
    "worker": "Write one to run the cache step elsewhere, such as on a cluster.",
    "loggers": "Write one to send curves elsewhere. It makes what the trainer's own library calls a logger.",
    "callbacks": "Write one to act while training. It makes what the trainer's own library calls a callback.",
}
"""What authors write one for, by section."""
WITH = {
    "source": ("pluto_core.protocols:LogLister", "pluto_core.jobs:Identity"),
    "features": ("pluto_core.protocols:Sketcher", "pluto_core.protocols:SampleChecker", "pluto_core.arrays:ArraySpec"),
    "cache": ("pluto_core.protocols:ShardWriter", "pluto_core.protocols:ShardReader"),
    "model": ("pluto_core.plan:Plan", "pluto_core.component:Requirement"),
    "worker": ("pluto_core.protocols:Job", "pluto_core.protocols:Session"),
    "trainer": ("pluto_core.jobs:TrainingJob", "pluto_core.protocols:BatchSource", "pluto_core.jobs:Evaluated"),
}
"""What protocols speak of, by section."""


def pages(catalogue: Catalogue) -> dict[str, str]:
    """Return the pages by path."""
    own = {f"kinds/{kind.section}.md": _page(catalogue, kind) for kind in KINDS}
    return {"kinds/index.md": _index(catalogue), **own}


def _index(catalogue: Catalogue) -> str:
    rows = [
        (
            f"[`{kind.header}`]({kind.section}.md)",
            kind.summary,
            ", ".join(code(component.name) for component in catalogue.components(kind.name)) or "none",
            code(kind.default) if kind.default else "",
        )
        for kind in KINDS
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    toctree = block("\n".join([":hidden:", "", *(kind.section for kind in KINDS)]), "{toctree}")
    return page(
        "# Kinds of components",
        "An experiment is made of components. Each kind has a section in the file, a hook by which plugins offer components, "
        "a protocol that says what they do, and a suite of tests that proves it. All four carry the same word.",
        "\n".join(["| section | what it is | bundled | default |", "|---|---|---|---|", *lines]),
        toctree,
    )


def _page(catalogue: Catalogue, kind: Kind) -> str:
    return page(
        f"# `{kind.header}`",
        f"{kind.summary} {WHEN[kind.section]}",
        _defaults(kind),
        *_hook(kind),
        *_protocol(kind),
        *_suite(kind),
        "## Bundled components",
        *(part for component in catalogue.components(kind.name) for part in component_parts(catalogue, kind, component)),
        "" if catalogue.components(kind.name) else "None yet.",
    )


def _defaults(kind: Kind) -> str:
    many = "The section may occur several times; order matters." if kind.many else ""
    default = f"Where an experiment says nothing, it is `{kind.default}`." if kind.default else ""
    shared = (
        "Every backend takes the [shared keys](../reference/settings.md#cache) besides its own."
        if kind.section == "cache"
        else ""
    )
    return " ".join(filter(None, (many, default, shared)))


def _hook(kind: Kind) -> Iterator[str]:
    yield "## Hook"
    yield block(_source(getattr(hookspecs, kind.hook)), "python")
    if kind.facts:
        yield f"`facts` of the component may hold {', '.join(map(code, kind.facts))}, for `pluto check`."


def _protocol(kind: Kind) -> Iterator[str]:
    yield "## Protocol"
    yield f"What the factory returns (`{kind.protocol.replace(':', '.')}`); no base class is needed."
    yield block(_source(load(kind.protocol)), "python")
    for name in WITH.get(kind.section, ()):
        yield block(_source(load(name)), "python")


def _suite(kind: Kind) -> Iterator[str]:
    module, _, name = kind.suite.partition(":")
    yield "## Suite"
    yield "Two lines in the plugin's tests run all of it:"
    lines = (
        f"from {module} import {name}",
        "",
        "",
        f"class TestMine({name}):",
        f'    hooks, use = "my_plugin.hooks", "my_{kind.section}"',
    )
    yield block("\n".join(lines), "python")
    suite = load(kind.suite)
    tests = {test: (inspect.getdoc(function) or "").partition("\n")[0] for test, function in inherited_tests(suite)}
    yield table(("test", "what it proves"), [(code(test), text) for test, text in tests.items()])


def component_parts(catalogue: Catalogue, kind: Kind, component: Component) -> Iterator[str]:
    """Yield what there is to know about a component: summary, settings, arrays."""
    plugin = catalogue.plugin_of(kind.name, component.name)
    config = catalogue.config_class(kind.name, component.name)
    extra = f" It needs the extra `{component.extra}`." if component.extra else ""
    yield f"### `{component.name}`"
    yield f"{component.summary}{extra} (plugin `{plugin.name}`)"
    yield settings_table(list(describe.settings(config)))
    if component.provides and not _needs_settings(config):
        yield f"It gives these arrays with its default settings; see [arrays](../reference/arrays.md#{component.name})."


def settings_table(rows: list[tuple[str, str, str, str]]) -> str:
    """Return settings as a table."""
    if not rows:
        return "Nothing to set."
    return table(
        ("key", "type", "default", "meaning"),
        [
            (code(key), kind, code(default) if default[0] not in "(-" else default, meaning)
            for key, kind, default, meaning in rows
        ],
    )


def _needs_settings(config: type) -> bool:
    return any(field.default is attrs.NOTHING for field in attrs.fields(config))


def _source(found: object) -> str:
    """Return the source of a hook or protocol without decorators."""
    lines = inspect.getsource(found).splitlines()  # type: ignore[arg-type]
    first = next(number for number, line in enumerate(lines) if not line.startswith("@"))
    return "\n".join(lines[first:])
