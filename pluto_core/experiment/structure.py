"""Nodes become attrs objects, strictly: what does not fit is reported, nothing is coerced but integers to floats."""

import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from pluto_core.component import suggestion
from pluto_core.errors import Mistake, PlutoError
from pluto_core.experiment import scalars
from pluto_core.experiment.lines import Path
from pluto_core.experiment.nodes import GivenText, Node, Origin, dotted
from pluto_core.plugins import PluginBugError


class _Failed:
    """What stands for a value that does not fit; the mistake has been noted."""


FAILED = _Failed()
_FEW = 8


@attrs.define
class Structurer:
    """Makes config objects and collects everything that is wrong."""

    found: list[tuple[Origin, Mistake]] = attrs.field(factory=list)

    def blame(self, origin: Origin, path: Path, problem: str) -> _Failed:
        """Note a mistake."""
        self.found.append((origin, Mistake(str(origin), dotted(path), problem)))
        return FAILED

    @property
    def mistakes(self) -> list[Mistake]:
        """Return the mistakes in the order in which they stand in the file."""
        ordered = sorted(self.found, key=lambda found: found[0].order)
        return list(dict.fromkeys(mistake for _, mistake in ordered))

    def table(self, node: Node, cls: type, path: Path, *, also: Iterable[str] = (), listed: str = "") -> Any:
        """Return a table as an object of an attrs class, or `FAILED`.

        Args:
            node: The table.
            cls: The attrs class; its keys are the fields of `__init__`.
            path: Where the table stands.
            also: Keys to name in suggestions, which somebody else has taken out.
            listed: What `pluto plugins show` calls the class.
        """
        node = node.settled()
        if not node.is_table:
            return self.blame(node.origin, path, f"must be a table, not {scalars.shown(node.plain())}")
        fields, hints = fields_of(cls), hints_of(cls)
        for key in node.value.keys() - fields.keys():
            self.blame(node.value[key].origin, (*path, key), f"unknown key{_hint(key, [*fields, *also], listed)}")
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in node.value:
                values[key] = self._field(node.value[key], hints[field.name], field, (*path, key))
            elif field.default is attrs.NOTHING:
                meaning = field.metadata.get("help", "").rstrip(".")
                values[key] = self.blame(node.origin, (*path, key), f"is missing{f' ({meaning})' if meaning else ''}")
        fine = {key: value for key, value in values.items() if value is not FAILED}
        if len(fine) == len(values):
            return self._object(cls, values, node, path)
        for key, problem in _validator_problems(cls, fine):
            if isinstance(problem, ValueError | PlutoError):  # others may come from what is missing
                self._refuse(key, problem, node, path)
        return FAILED

    def _field(self, node: Node, hint: Any, field: "attrs.Attribute[Any]", path: Path) -> Any:
        value = self.value(node, hint, path)
        problem = None if value is FAILED else scalars.out_of_bounds(value, field.metadata)
        return self.blame(node.origin, path, problem) if problem else value

    def _object(self, cls: type, values: Mapping[str, Any], node: Node, path: Path) -> Any:
        try:
            return cls(**values)
        except Exception as error:  # noqa: BLE001 -- validators are plugin code
            problems: list[tuple[str, Exception]] = list(_validator_problems(cls, values)) or [("", error)]
        for key, problem in problems:
            if not isinstance(problem, ValueError | PlutoError):
                where = f"{cls.__module__}.{cls.__qualname__}{f', key {key!r}' if key else ''}"
                message = f"the config class {where} raised {type(problem).__name__}: {problem}; this is a bug of its plugin"
                raise PluginBugError(message) from problem
            self._refuse(key, problem, node, path)
        return FAILED

    def _refuse(self, key: str, problem: Exception, node: Node, path: Path) -> None:
        origin = node.value[key].origin if key in node.value else node.origin
        text = str(problem.args[0]) if problem.args else "is not allowed"
        self.blame(origin, (*path, key) if key else path, text)

    def value(self, node: Node, hint: Any, path: Path) -> Any:
        """Return a node as what a type annotation asks for, or `FAILED`."""
        hint = scalars.bare(hint)
        if isinstance(node.value, GivenText):
            return self._given(node, node.value, hint, path)
        if scalars.is_union(hint):
            return self._union(node, hint, typing.get_args(hint), path)
        if scalars.is_scalar(hint):
            value, problem = scalars.read(node.value, hint)
            return self.blame(node.origin, path, problem) if problem else value
        return self._compound(node, hint, path)

    def _compound(self, node: Node, hint: Any, path: Path) -> Any:
        container, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
        if hint is Any or hint is object:
            return node.plain()
        if isinstance(hint, type) and attrs.has(hint):
            return self.table(node, hint, path)
        if container in scalars.ARRAYS:
            return self._array(node, hint, container, arguments, path)
        if container in scalars.TABLES:
            return self._mapping(node, hint, arguments, path)
        raise PluginBugError(f"key {dotted(path)!r} has the type {hint!r}, which no experiment file can hold")

    def _given(self, node: Node, given: GivenText, hint: Any, path: Path) -> Any:
        text = Node(given.text, node.origin)
        if given.parsed is None or (scalars.only_strings(hint) and not isinstance(given.parsed.value, str)):
            return self.value(text, hint, path)
        trial = Structurer()
        value = trial.value(given.parsed, hint, path)
        if value is FAILED and scalars.takes_strings(hint) and not isinstance(given.parsed.value, str):
            verbatim = Structurer().value(text, hint, path)
            if verbatim is not FAILED:
                return verbatim
        self.found += trial.found
        return value

    def _union(self, node: Node, hint: Any, members: Sequence[Any], path: Path) -> Any:
        fitting = sorted(
            (member for member in members if scalars.fits(node.plain(), member)),
            key=lambda member: not scalars.fits_exactly(node.plain(), member),
        )
        if not fitting:
            return self.blame(node.origin, path, scalars.wrong(node.plain(), hint))
        trials, ranks = [], []
        for member in fitting:
            trial = Structurer()
            value = trial.value(node, member, path)
            if not trial.found:
                return value
            trials.append(trial)
            ranks.append((value is FAILED, len(trial.found)))  # all but unknown keys may fit
        best = ranks.index(min(ranks))
        narrow, wide = (f"must be {scalars.describe(one)}," for one in (fitting[best], hint))
        for origin, mistake in trials[best].found:
            self.found.append((origin, attrs.evolve(mistake, problem=mistake.problem.replace(narrow, wide, 1))))
        return FAILED

    def _array(self, node: Node, hint: Any, container: Any, arguments: Sequence[Any], path: Path) -> Any:
        if not isinstance(node.value, list):
            return self.blame(node.origin, path, scalars.wrong(node.plain(), hint))
        fixed = container is tuple and arguments and Ellipsis not in arguments
        if fixed and len(arguments) != len(node.value):
            problem = f"must hold {len(arguments)} elements, not {len(node.value)}"
            return self.blame(node.origin, path, problem)
        kinds = arguments if fixed else [arguments[0] if arguments else Any] * len(node.value)
        items = [
            self.value(child, kind, (*path, position))
            for position, (child, kind) in enumerate(zip(node.value, kinds, strict=True))
        ]
        return FAILED if any(item is FAILED for item in items) else scalars.ARRAYS[container](items)

    def _mapping(self, node: Node, hint: Any, arguments: Sequence[Any], path: Path) -> Any:
        if not node.is_table:
            return self.blame(node.origin, path, scalars.wrong(node.plain(), hint))
        kind = arguments[1] if arguments else Any
        items = {key: self.value(child, kind, (*path, key)) for key, child in node.value.items()}
        return FAILED if any(item is FAILED for item in items.values()) else items


def _hint(key: str, known: Sequence[str], listed: str) -> str:
    """Return which key may have been meant, or which there are, or how to see them where they are many."""
    if len(known) > _FEW and listed:
        return suggestion(key, known) or f"; `pluto plugins show {listed}` lists what there is"
    return suggestion(key, known) or f"; there are {', '.join(known) or 'no keys'}"


def fields_of(cls: type) -> dict[str, "attrs.Attribute[Any]"]:
    """Return the fields that a file can set, by key."""
    return {field.alias or field.name: field for field in attrs.fields(cls) if field.init}


def hints_of(cls: type) -> dict[str, Any]:
    """Return the types of an attrs class's fields.

    Raises:
        PluginBugError: One of its annotations cannot be resolved.
    """
    try:
        hints = typing.get_type_hints(cls)
    except Exception as error:
        raise PluginBugError(f"the annotations of {cls.__module__}.{cls.__qualname__} cannot be resolved: {error}") from error
    return {field.name: hints.get(field.name, Any) for field in attrs.fields(cls)}


def _validator_problems(cls: type, values: Mapping[str, Any]) -> Iterable[tuple[str, Exception]]:
    """Yield every key whose own validator refuses its value; the object is never initialised."""
    draft: Any = object.__new__(cls)
    fields = fields_of(cls)
    for key, value in values.items():
        object.__setattr__(draft, fields[key].name, value)
    for key, value in values.items():
        field = fields[key]
        if field.validator is not None:
            try:
                field.validator(draft, field, value)
            except Exception as error:  # noqa: BLE001 -- validators are plugin code
                yield key, error
