"""From a file, what it extends, `--set` and presets to one tree of nodes."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import attrs

from pluto_core.component import suggestion
from pluto_core.errors import ExperimentError, Mistake, PlutoError
from pluto_core.experiment.documents import PRESET_PREFIX, Document, from_file, parent_path, parse, with_settings
from pluto_core.experiment.lines import Path
from pluto_core.experiment.nodes import PRESET_RANK, Node, Variables, dotted, merge
from pluto_core.kinds import KINDS
from pluto_core.places import user_path
from pluto_core.plugins import Catalogue

_MANY = frozenset(kind.section for kind in KINDS if kind.many)
_WITH_PRESETS = frozenset(kind.section for kind in KINDS) | {"filter", "loader"}


@attrs.frozen
class Merged:
    """One tree, the catalogue that it was read with, and what was noticed on the way."""

    root: Node
    catalogue: Catalogue
    variables: Variables
    mistakes: list[Mistake]
    """Those that leave the rest of the experiment readable."""
    folders: tuple[FilePath, ...] = ()
    """Where local plugins were looked for, besides Python's own path and the working directory."""


@attrs.define
class _Reader:
    """Follows `extends` and lays layers over one another."""

    variables: Variables
    mistakes: list[Mistake] = attrs.field(factory=list)

    def stop_if_wrong(self) -> None:
        mistakes = [*self.mistakes, *self.variables.mistakes]
        if mistakes:
            raise ExperimentError(mistakes)

    def parent_of(self, document: Document) -> str | None:
        """Return what a document extends."""
        node = document.root.value.get("extends")
        if node is None:
            return None
        if not isinstance(node.value, str):
            self.mistakes.append(Mistake(str(node.origin), "extends", "must be one string: a file, or preset:NAME"))
            return None
        return self.name_in(node, ("extends",))

    def name_in(self, node: Node, path: Path) -> str | None:
        """Return the name in a string that must be known at once; None where it needs a variable that is not set."""
        before = len(self.variables.unset)
        text = self.variables.text(node.value, node.origin, path)
        missing = self.variables.unset[before:]
        self.mistakes += missing
        return None if missing else text

    def files(self, path: FilePath) -> tuple[list[Document], str | None]:
        """Return the file and the files that it extends, and the preset at the end of the chain, if any."""
        chain = [from_file(path)]
        seen = [_identity(path)]
        while (parent := self.parent_of(chain[-1])) is not None and not parent.startswith(PRESET_PREFIX):
            found = parent_path(chain[-1], parent)
            seen.append(_identity(found))
            if seen[-1] in seen[:-1]:
                names = [document.label for document in chain] + [str(found)]
                self._blame_extends(chain[-1], f"goes in a circle: {' -> '.join(names)}")
                break
            try:
                chain.append(from_file(found, rank=-len(chain)))
            except ExperimentError as error:
                self._blame_extends_or_pass(chain[-1], found, error)
                break
        self.stop_if_wrong()
        return chain, parent.removeprefix(PRESET_PREFIX) if parent else None

    def _blame_extends(self, document: Document, problem: str) -> None:
        self.mistakes.append(Mistake(str(document.root.value["extends"].origin), "extends", problem))

    def _blame_extends_or_pass(self, document: Document, path: FilePath, error: ExperimentError) -> None:
        """Blame `extends` for a file that cannot be read; mistakes inside it are its own."""
        for mistake in error.mistakes:
            if mistake.where == str(path):
                self._blame_extends(document, f"{path}: {mistake.problem}")
            else:
                self.mistakes.append(mistake)

    def presets(self, chain: Sequence[Document], name: str | None, catalogue: Catalogue) -> list[Document]:
        """Return the preset that a chain of files ends with, and the presets which that one extends."""
        found: list[Document] = []
        while name is not None:
            below = found[-1] if found else chain[-1]
            label = f"{PRESET_PREFIX}{name}"
            if any(document.label == label for document in found):
                self._blame_extends(below, f"goes in a circle: {label} extends itself")
                break
            try:
                text = preset_text(catalogue, name)
            except PlutoError as error:
                self._blame_extends(below, str(error))
                break
            found.append(Document(label, parse(text, label, -len(chain) - len(found))))
            parent = self.parent_of(found[-1])
            if parent is not None and not parent.startswith(PRESET_PREFIX):
                self._blame_extends(found[-1], "a preset can extend presets only: preset:NAME")
                break
            name = parent.removeprefix(PRESET_PREFIX) if parent else None
        self.stop_if_wrong()
        return found


def _identity(path: FilePath) -> str:
    """Return what two paths of one file have in common; of what is no path at all, the text."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def preset_text(catalogue: Catalogue, name: str) -> str:
    """Return the text of a preset.

    Raises:
        PlutoError: There is no such preset.
    """
    if name not in catalogue.presets:
        known = ", ".join(catalogue.presets) or "none"
        hint = suggestion(name, catalogue.presets) or f"; there are {known}"
        aside = "".join(f" ({plugin})" for plugin in catalogue.broken.values())
        raise PlutoError(f"no preset is called {name!r}{hint}{aside}")
    return catalogue.presets[name].read()


def read_layers(
    path: FilePath,
    settings: Sequence[str],
    environment: Mapping[str, str],
    load_catalogue: Callable[[Sequence[str], Sequence[FilePath]], Catalogue],
) -> Merged:
    """Return everything that makes up an experiment as one tree.

    Args:
        path: The file.
        settings: `KEY=VALUE`s.
        environment: Environment variables.
        load_catalogue: Gives the catalogue, from the names of local plugins that the file names and the folders to look in.

    Raises:
        ExperimentError: A text cannot be read, or there is no such parent or preset.
    """
    reader = _Reader(Variables(environment))
    chain, preset = reader.files(path)
    without_presets, _ = _merged(chain, settings)
    folders = [document.folder for document in chain if document.folder is not None]
    folders += [user_path(folder) for folder in _texts(without_presets, "plugin_folders", environment)]
    catalogue = load_catalogue(_texts(without_presets, "plugins", environment), folders)
    chain += reader.presets(chain, preset, catalogue)
    root, mistakes = _merged(chain, settings)
    root = _lay_presets(root, catalogue, reader)
    reader.stop_if_wrong()
    root = reader.variables.expand(root)
    return Merged(root, catalogue, reader.variables, [*reader.variables.mistakes, *mistakes], tuple(folders))


def _merged(chain: Sequence[Document], settings: Sequence[str]) -> tuple[Node, list[Mistake]]:
    root = chain[-1].root
    for document in reversed(chain[:-1]):
        root = merge(root, document.root)
    root, mistakes = with_settings(root, settings)
    extends = root.value.get("extends")
    if extends is not None and extends.origin.rank > 0:
        mistakes.append(Mistake(str(extends.origin), "extends", "can be named in a file only"))
    return Node({key: child for key, child in root.value.items() if key != "extends"}, root.origin), mistakes


def _texts(root: Node, key: str, environment: Mapping[str, str]) -> list[str]:
    node = root.value.get(key)
    names: Any = Variables(environment).expand(node).plain() if node else []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _lay_presets(root: Node, catalogue: Catalogue, reader: _Reader) -> Node:
    """Return the tree with every table's `preset` laid under it."""
    tables = dict(root.value)
    for section in [name for name in tables if name in _WITH_PRESETS]:
        node = tables[section].settled()
        if section in _MANY and isinstance(node.value, list):
            elements = [
                _laid(element, section, (section, position), catalogue, reader) for position, element in enumerate(node.value)
            ]
            tables[section] = Node(elements, node.origin)
        else:
            tables[section] = _laid(node, section, (section,), catalogue, reader)
    return Node(tables, root.origin)


def _laid(table: Node, section: str, path: Path, catalogue: Catalogue, reader: _Reader) -> Node:
    if not table.is_table or "preset" not in table.value:
        return table
    rest = {key: child for key, child in table.value.items() if key != "preset"}
    node = table.value["preset"].settled()
    where, key = str(node.origin), dotted((*path, "preset"))
    if not isinstance(node.value, str):
        reader.mistakes.append(Mistake(where, key, "must be a string, the name of a preset"))
        return Node(rest, table.origin)
    name = reader.name_in(node, (*path, "preset"))
    if name is None:
        return Node(rest, table.origin)
    try:
        under = _preset_table(name, section, catalogue)
    except ExperimentError as error:
        reader.mistakes += error.mistakes
    except PlutoError as error:
        reader.mistakes.append(Mistake(where, key, str(error)))
    else:
        return merge(under, Node(rest, table.origin))
    return Node(rest, table.origin)


def _preset_table(name: str, section: str, catalogue: Catalogue) -> Node:
    """Return what a preset lays under a table: its table of that name, or all of it where it is a bare table."""
    root = parse(preset_text(catalogue, name), f"{PRESET_PREFIX}{name}", PRESET_RANK)
    found: Node = root.value.get(section, root)
    if isinstance(found.value, list) and len(found.value) == 1:
        found = found.value[0]
    if not found.is_table:
        raise PlutoError(f"the preset {name!r} holds no single table for {section!r}")
    return Node({key: child for key, child in found.value.items() if key != "preset"}, found.origin)
