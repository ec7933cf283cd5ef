"""`docs/hooks.md` is made from the code, and what it shows as examples runs."""

import ast
import inspect
import os
import re
import textwrap
from pathlib import Path

import attrs
import pytest

from pluto_core import Component, hookimpl, hookspecs
from pluto_core.errors import Mistake
from pluto_core.kinds import KINDS
from pluto_core.plugins import Catalogue

HOOKS = {
    name: found
    for name, found in sorted(
        inspect.getmembers(hookspecs, inspect.isfunction), key=lambda pair: inspect.getsourcelines(pair[1])[1]
    )
    if name.startswith("pluto_")
}
"""Every hook, in the order of `hookspecs.py`."""
BY_HOOK = {kind.hook: kind for kind in KINDS}
HEADING = """\
# Hooks

<!-- Made from pluto_core/hookspecs.py, kinds.py and component.py: tests/architecture/test_documents.py compares, and with
PLUTO_WRITE_DOCS=1 in the environment it writes this file anew. -->

"""


def _source_of(module):
    """Return functions and classes of a module by name, as syntax."""
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _signature(function):
    """Return a function's line `def name(...) -> ...`, as it stands in its source."""
    copy = ast.FunctionDef(
        name=function.name, args=function.args, body=[], decorator_list=[], returns=function.returns, type_params=[]
    )
    return ast.unparse(ast.fix_missing_locations(copy)).replace("'", "") + " ..."


def _example(hook):
    """Return the code of a hook's example."""
    text = inspect.getdoc(hook)
    assert "Example:\n" in text, f"{hook.__name__} has no example"
    return textwrap.dedent(text.partition("Example:\n")[2]) + "\n"


def _hook_lines(name):
    """Return the section of one hook."""
    hook, kind = HOOKS[name], BY_HOOK.get(name)
    meaning = inspect.getdoc(hook).partition("Example:\n")[0].strip()
    meaning = re.sub(r"\n\nArgs:\n", "\n\nArguments:\n\n", meaning)
    meaning = re.sub(r"\n\nReturns:\n    ", "\n\nReturns: ", meaning)
    meaning = re.sub(r"^    (\w+): ", r"- `\1`: ", meaning, flags=re.MULTILINE)
    lines = [f"### `{name}`", "", "```python", _signature(_source_of(hookspecs)[name]), "```", "", meaning, ""]
    if kind is not None:
        facts = f" Facts that a component may promise: {', '.join(f'`{fact}`' for fact in kind.facts)}." if kind.facts else ""
        default = f" Default: `{kind.default}`." if kind.default else ""
        protocol = f"[`{kind.protocol.rpartition(':')[2]}`](kinds/{kind.section}.md)"
        lines += [f"Section `{kind.header}`.{default} Factories return a {protocol}.{facts}", ""]
        lines += [f"Suite: `{kind.suite}`.", ""]
    return [*lines, "```python", _example(hook).rstrip(), "```", ""]


def hooks_document():
    """Return `docs/hooks.md`."""
    registering = [name for name in HOOKS if name.startswith("pluto_register_")]
    lines = textwrap.dedent(HEADING).splitlines() + _intro() + ["## What a plugin offers", ""]
    lines += ["Called in this order, once, when a command needs the catalogue; nothing heavy may be imported.", ""]
    lines += ["| hook | section | what it is | default |", "|---|---|---|---|"]
    lines += [
        f"| [`{kind.hook}`](#{kind.hook}) | `{kind.header}` | {kind.summary} | {f'`{kind.default}`' if kind.default else '-'} |"
        for kind in KINDS
    ]
    lines += ["", *_component_lines()]
    for name in registering:
        lines += _hook_lines(name)
    lines += ["## Moments", ""]
    for name in [name for name in HOOKS if name not in registering]:
        lines += _hook_lines(name)
    return "\n".join(lines)


def _intro():
    """Return the introduction, with its example marked as code."""
    text = inspect.getdoc(hookspecs)
    before, code, after = re.fullmatch(r"(.*?\n\n)((?:    [^\n]*\n|\n)+)(.*)", text, re.DOTALL).groups()
    return [before.strip(), "", "```python", textwrap.dedent(code).strip(), "```", "", after.strip(), ""]


def _component_lines():
    """Return the fields of a `Component`."""
    node = _source_of(inspect.getmodule(Component))["Component"]
    rows = [
        (member.target.id, ast.unparse(member.annotation).replace("|", "\\|"), " ".join(ast.literal_eval(told.value).split()))
        for member, told in zip(node.body, node.body[1:], strict=False)
        if isinstance(member, ast.AnnAssign)
    ]
    return [
        "A `Component`:",
        "",
        "| field | type | meaning |",
        "|---|---|---|",
        *(f"| `{a}` | `{b}` | {c} |" for a, b, c in rows),
        "",
    ]


def test_hooks_document(repository):
    """`docs/hooks.md` says what the code says."""
    path = repository / "docs" / "hooks.md"
    made = hooks_document()
    if os.environ.get("PLUTO_WRITE_DOCS"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made


def test_every_hook_is_documented():
    """Every hook has a section of its own with its signature, and leads to the page of its kind."""
    made = hooks_document()
    for name in HOOKS:
        assert f"### `{name}`" in made
        assert f"def {name}(" in made
    for kind in KINDS:
        assert f"(kinds/{kind.section}.md)" in made


def _run_example(name):
    """Return the function that a hook's example defines."""
    space = {"Component": Component, "Mistake": Mistake, "hookimpl": hookimpl}
    exec(compile(_example(HOOKS[name]), name, "exec"), space)  # noqa: S102 -- our own documentation
    return space[name]


@pytest.mark.parametrize("name", HOOKS)
def test_examples_register(name):
    """Every example is code that pluggy takes for that hook, and one that registers gives a component or preset."""
    holder = type("Holder", (), {name: staticmethod(_run_example(name))})()
    catalogue = Catalogue.of(holder)
    assert not catalogue.broken, [broken.reason for broken in catalogue.broken.values()]
    if name in BY_HOOK:
        assert len(catalogue.components(BY_HOOK[name].name)) == 1
    if name == "pluto_register_presets":
        assert len(catalogue.presets) == 1


@attrs.define
class _Step:
    name: str
    run_dir: Path
    experiment: object
    said: list

    def note(self, text):
        self.said.append(text)


@attrs.define
class _Experiment:
    name: str
    chosen: dict

    def selected(self, section):
        return self.chosen.get(section, ())


@attrs.define
class _Selected:
    use: str
    where: str = "a.toml:1"


def test_examples_of_moments_work(tmp_path):
    """The examples of moments do what they seem to do."""
    experiment = _Experiment("small", {"model": [_Selected("shelfnet")], "augmentations": [_Selected("a"), _Selected("b")]})
    step = _Step("train", tmp_path, experiment, [])
    mistakes = list(_run_example("pluto_check_experiment")(experiment))
    assert [str(mistake) for mistake in mistakes] == [
        "a.toml:1: augmentations: 'shelfnet' takes one at most; leave the others out"
    ]
    _run_example("pluto_before_step")(step)
    files = _run_example("pluto_after_step")(step, type("Report", (), {"seconds": 2.0}))
    _run_example("pluto_step_failed")(step, ZeroDivisionError())
    assert [path.read_text() for path in files.values()] == ["2.0"]
    assert step.said == [f"small: train begins in {tmp_path}", "train ended with ZeroDivisionError"]
