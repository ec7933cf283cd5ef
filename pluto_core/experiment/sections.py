"""From the tree of an experiment to the components that it selects and their configs."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs

from pluto_core.component import Requirement, suggestion
from pluto_core.errors import Mistake, PlutoError
from pluto_core.experiment.lines import Path
from pluto_core.experiment.nodes import REQUIRED_RANK, Node, Origin, build, dotted
from pluto_core.experiment.structure import FAILED, Structurer, fields_of, hints_of
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import BY_SECTION, KINDS, Kind
from pluto_core.moments import Selection
from pluto_core.plugins import Catalogue, PluginBugError
from pluto_core.settings import CacheSettings, LoaderSettings, Step, TopLevel

T = TypeVar("T")

_TRAINS = frozenset({"train"})
_EVALUATES = frozenset({"train", "validate", "test"})
_ALWAYS = frozenset({"cache", "train", "validate", "test"})
_NEEDED_BY = {
    "cache": _ALWAYS,
    "splitter": _EVALUATES,
    "worker": frozenset({"cache"}),
    "optimizer": _TRAINS,
    "schedule": _TRAINS,
    "trainer": _EVALUATES,
}
"""Steps that cannot do without the default of a section; elsewhere a default that no plugin offers is left out."""


@attrs.frozen
class Chosen:
    """One selected component and the table that selects it."""

    selection: Selection
    node: Node
    path: Path


@attrs.define
class Sections:
    """Structures every section of one experiment."""

    root: Node
    catalogue: Catalogue
    structurer: Structurer = attrs.field(factory=Structurer)
    notes: list[Mistake] = attrs.field(factory=list)
    chosen: dict[str, tuple[Chosen, ...]] = attrs.field(factory=dict)
    cache: CacheSettings | None = None

    def settings(self) -> tuple[TopLevel | None, ScenarioFilter | None, LoaderSettings | None]:
        """Return what belongs to the core; None where a mistake was noted."""
        known = [*fields_of(TopLevel), *BY_SECTION, "filter", "loader", "extends"]
        tables = {*BY_SECTION, "filter", "loader"}
        top: dict[str, Node] = {}
        for key, node in self.root.value.items():
            if key in fields_of(TopLevel):
                top[key] = node
            elif key not in tables:
                hint = _home_of(key) or suggestion(key, known) or "; `pluto plugins show experiment` lists what there is"
                self.structurer.blame(node.origin, (key,), f"unknown {'table' if node.is_table else 'key'}{hint}")
        return (
            self._object(Node(top, self.root.origin), TopLevel, ()),
            self._object(self._section("filter"), ScenarioFilter, ("filter",)),
            self._object(self._section("loader"), LoaderSettings, ("loader",)),
        )

    def steps(self) -> tuple[Step, ...] | None:
        """Return the steps alone, where something else at the top is wrong; None where they are wrong themselves."""
        node = self.root.value.get("steps")
        if node is None:
            return TopLevel().steps
        value = Structurer().value(node, hints_of(TopLevel)["steps"], ("steps",))
        return None if value is FAILED else value

    def _object(self, node: Node, cls: type[T], path: Path) -> T | None:
        made = self.structurer.table(node, cls, path, listed=str(path[0]) if path else "experiment")
        return None if made is FAILED else made

    def _section(self, name: str) -> Node:
        found: Node | None = self.root.value.get(name)
        return found or Node({}, Origin("default", None, REQUIRED_RANK))

    def select(self, steps: frozenset[str]) -> None:
        """Structure the tables of every kind that the experiment names or that has a default."""
        for kind in KINDS:
            node = self.root.value.get(kind.section)
            if node is None:
                self._default(kind, steps)
            else:
                found = [self._choose(kind, table, path) for table, path in self._tables(kind, node.settled())]
                self.chosen[kind.section] = tuple(chosen for chosen in found if chosen is not None)
        self._fill_from_model(steps)
        if self.cache is None and "cache" not in self.root.value:
            self.cache = CacheSettings()

    def _tables(self, kind: Kind, node: Node) -> Iterator[tuple[Node, Path]]:
        path: Path = (kind.section,)
        if kind.many and isinstance(node.value, list):
            for position, element in enumerate(node.value):
                if element.is_table:
                    yield element, (*path, position)
                else:
                    self.structurer.blame(element.origin, (*path, position), f"must be a table; write {kind.header}")
        elif not kind.many and node.is_table:
            yield node, path
        else:
            problem = f"must be {'an array of tables' if kind.many else 'one table'}; write {kind.header}"
            self.structurer.blame(node.origin, path, problem)

    def _default(self, kind: Kind, steps: frozenset[str]) -> None:
        self.chosen[kind.section] = ()
        if kind.default is None:
            return
        if self.catalogue.has(kind.name, kind.default) or _NEEDED_BY.get(kind.section, frozenset()) & steps:
            node = build({}, lambda _path: Origin("default", None, REQUIRED_RANK))
            chosen = self._choose(kind, node, (kind.section, 0) if kind.many else (kind.section,))
            self.chosen[kind.section] = () if chosen is None else (chosen,)

    def _choose(self, kind: Kind, node: Node, path: Path) -> Chosen | None:
        use = self._use(kind, node, path)
        if use is None:
            return None
        try:
            cls = self.catalogue.config_class(kind.name, use)
        except PlutoError as error:
            origin = node.value["use"].origin if "use" in node.value else node.origin
            self.structurer.blame(origin, (*path, "use"), str(error))
            return None
        own = {key: child for key, child in node.value.items() if key not in ("use", "preset")}
        if kind.section == "cache":
            own = self._take_cache_settings(own, node, path)
        own = self._without_strangers(own, node, cls, path)
        also = ("use", "preset", *(fields_of(CacheSettings) if kind.section == "cache" else ()))
        config = self.structurer.table(Node(own, node.origin), cls, path, also=also, listed=f"{kind.section}.{use}")
        if config is FAILED:
            return None
        return Chosen(Selection(section=kind.section, use=use, config=config, where=str(node.origin)), node, path)

    def _use(self, kind: Kind, node: Node, path: Path) -> str | None:
        found: Node | None = node.value.get("use")
        if found is not None:
            value = self.structurer.value(found, str, (*path, "use"))
            return None if value is FAILED else str(value)
        if kind.default is not None:
            return kind.default
        model = self.chosen.get("model")
        if kind.section == "objective" and model and self.catalogue.has(kind.name, model[0].selection.use):
            return model[0].selection.use
        known = ", ".join(component.name for component in self.catalogue.components(kind.name)) or "none"
        self.structurer.blame(node.origin, (*path, "use"), f"is missing; there are {known}")
        return None

    def _take_cache_settings(self, own: dict[str, Node], node: Node, path: Path) -> dict[str, Node]:
        core = {key: own.pop(key) for key in list(own) if key in fields_of(CacheSettings)}
        self.cache = self._object(Node(core, node.origin), CacheSettings, path)
        return own

    def _without_strangers(self, own: dict[str, Node], node: Node, cls: type, path: Path) -> dict[str, Node]:
        """Leave out what a lower layer set for another component than the one that a higher layer chose."""
        use = node.value.get("use")
        if use is None:
            return own
        kept = dict(own)
        for key, child in own.items():
            if key not in fields_of(cls) and child.origin.rank < use.origin.rank:
                del kept[key]
                text = f"left out: {use.origin} selects {use.plain()!r}, which has no such key"
                self.notes.append(Mistake(str(child.origin), dotted((*path, key)), text))
        return kept

    def _fill_from_model(self, steps: frozenset[str]) -> None:
        """Take the model's builders and objective where the experiment names none."""
        model = self.chosen["model"]
        if not model:
            return
        requirement = self.requirement(model[0])
        if requirement is not None:
            self._fill("features", requirement.features, model[0])
            self._fill("targets", requirement.targets, model[0])
        use = model[0].selection.use
        if "objective" not in self.root.value and (self.catalogue.has("objectives", use)):
            node = Node({}, Origin(f"named like the model {use!r}", None, REQUIRED_RANK))
            chosen = self._choose(BY_SECTION["objective"], node, ("objective",))
            self.chosen["objective"] = () if chosen is None else (chosen,)
        if "train" in steps and "objective" not in self.root.value and not self.chosen["objective"]:
            self.structurer.blame(model[0].node.origin, ("model",), f"no objective is called {use!r}; add [objective]")

    def _fill(self, section: str, tables: tuple[Mapping[str, Any], ...], model: Chosen) -> None:
        if section in self.root.value:
            return
        origin = Origin(f"required by the model {model.selection.use!r}", None, REQUIRED_RANK)
        nodes = [build(table, lambda _path: origin) for table in tables]
        found = [self._choose(BY_SECTION[section], node, (section, position)) for position, node in enumerate(nodes)]
        self.chosen[section] = tuple(chosen for chosen in found if chosen is not None)

    def requirement(self, chosen: Chosen) -> Requirement | None:
        """Return what a component requires of the samples; None where it does not say."""
        return self._ask(chosen, "requires", Requirement)

    def provides(self, chosen: Chosen) -> dict[str, Any] | None:
        """Return the specs of the arrays that a builder gives; None where it does not say."""
        return self._ask(chosen, "provides", dict)

    def _ask(self, chosen: Chosen, question: str, answer: type[T]) -> T | None:
        try:
            found = ask(self.catalogue, chosen.selection, question)
            found = dict(found) if isinstance(found, Mapping) else found
        except PlutoError as error:
            self.structurer.blame(chosen.node.origin, chosen.path, str(error))
            return None
        if found is not None and not isinstance(found, answer):
            raise PluginBugError(f"{question} of {chosen.selection.section} {chosen.selection.use!r} returned {found!r}")
        return found


def _home_of(key: str) -> str:
    """Return under which of the core's tables a key belongs that stands at the top."""
    homes = [name for name, cls in (("filter", ScenarioFilter), ("loader", LoaderSettings)) if key in fields_of(cls)]
    return f"; it belongs under [{homes[0]}]" if homes else ""


def ask(catalogue: Catalogue, selection: Selection, question: str) -> Any:
    """Return the answer of a component's `requires` or `provides` to its config; None where it has no such function."""
    kind = BY_SECTION[selection.section]
    component = catalogue.component(kind.name, selection.use)
    import_string: str | None = getattr(component, question)
    if import_string is None:
        return None
    plugin = catalogue.plugin_of(kind.name, selection.use)
    function = catalogue.resolve(import_string, f"`{question}` of {selection.section} {selection.use!r}", plugin)
    return function(selection.config)
