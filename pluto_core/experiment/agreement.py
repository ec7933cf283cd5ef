"""Whether the components of an experiment fit together.

What must be there, which arrays one needs of another, and what plugins promise of a component before it is made
(`Component.facts`).
"""

from collections.abc import Iterator, Mapping, Sequence

from pluto_core.arrays import ArraySpec, join
from pluto_core.component import Component, Requirement
from pluto_core.errors import Mistake, PlutoError
from pluto_core.experiment.nodes import Node, Origin, dotted
from pluto_core.experiment.sections import Chosen, Sections
from pluto_core.filters import ScenarioFilter, contradictions, unanswered
from pluto_core.kinds import BY_SECTION
from pluto_core.settings import LoaderSettings, Step

_BUILDERS = ("features", "targets")
_READERS = ("augmentations", "model", "objective")
_SHOWN = 5


def check_presence(sections: Sections, steps: Sequence[Step] | None, whole: Origin) -> None:
    """Note what the experiment's steps need and nobody names; None: it is not known which steps are meant."""
    named = sections.root.value
    blame = sections.structurer.blame
    if "source" not in named and "cache" not in named:
        blame(whole, (), "there is no [source]; add one, or a [cache] to train from")
    if steps is None:
        return
    needing = [step for step in steps if step != "cache"]
    if needing:
        if "model" not in named:
            blame(whole, (), f"there is no [model], which the steps need ({', '.join(needing)})")
    elif "cache" in steps and "source" in named and not {"model", "features", "targets"} & named.keys():
        blame(whole, (), "there is nothing to compute: add [[features]], or a [model] that requires some")


def sample_spec(sections: Sections) -> dict[str, ArraySpec] | None:
    """Return the specs of all arrays that the builders give; None where one of them does not say."""
    builders = [chosen for section in _BUILDERS for chosen in sections.chosen[section]]
    spec: dict[str, ArraySpec] = {}
    known: list[tuple[str, Mapping[str, ArraySpec]]] = []
    for chosen in builders:
        found = sections.provides(chosen)
        if found is not None:
            known.append((chosen.selection.use, found))
            try:
                spec = join(known)
            except PlutoError as error:
                sections.structurer.blame(chosen.node.origin, chosen.path, str(error))
                return None
    return spec if len(known) == len(builders) else None


def check_requirements(sections: Sections) -> None:
    """Note every array that a component needs and no builder gives, or gives with other sizes."""
    spec = sample_spec(sections)
    if spec is None or not any(sections.chosen[section] for section in _BUILDERS):
        return
    for section in _READERS:
        for chosen in sections.chosen[section]:
            requirement = sections.requirement(chosen)
            if requirement is not None:
                for problem in _disagreements(chosen, requirement, spec):
                    sections.structurer.blame(chosen.node.origin, chosen.path, problem)


def _disagreements(chosen: Chosen, requirement: Requirement, spec: Mapping[str, ArraySpec]) -> Iterator[str]:
    missing = [key for key in requirement.keys if key not in spec]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        builders = dict.fromkeys(
            f'[[{section}]] use = "{table["use"]}"'
            for section in _BUILDERS
            for table in getattr(requirement, section)
            if "use" in table
        )
        cure = f"; add {' and '.join(builders)}" if builders else ""
        yield f"{chosen.selection.use!r} needs arrays that no builder gives: {shown}{cure}"
    for dim, size in requirement.dims.items():
        key, _, axis = dim.rpartition(":")
        if key in spec and int(axis) < len(spec[key].dims) and spec[key].dims[int(axis)] != size:
            found = spec[key].dims[int(axis)]
            yield f"{chosen.selection.use!r} needs {size} in {key!r} on axis {axis}, but its builder gives {found}"


def check_filter(sections: Sections, wanted: ScenarioFilter) -> None:
    """Note every field of the filter that means nothing, or that the source is known not to answer."""
    problems = list(contradictions(wanted))
    source = _component(sections, "source")
    if source is not None and "answers" in source.facts and not _from_cache_alone(sections):
        said = f"the source {source.name!r} cannot answer it; leave it out"
        problems += [(name, said) for name in unanswered(wanted, source.facts["answers"])]
    for name, problem in problems:
        sections.structurer.blame(_origin(sections, "filter", name), ("filter", name), problem)


def check_sharing(sections: Sections, loader: LoaderSettings | None) -> None:
    """Note a cache that lives in one process beside a worker, or a loader, that uses several."""
    cache, worker = _component(sections, "cache"), _component(sections, "worker")
    if cache is None or cache.facts.get("shared") is not False:
        return
    if loader is not None and loader.workers:
        problem = (
            f"the cache {cache.name!r} lives in one process, so that no other can read it; set it to 0, or change cache.use"
        )
        sections.structurer.blame(_origin(sections, "loader", "workers"), ("loader", "workers"), problem)
    if worker is None or "source" not in sections.root.value or _from_cache_alone(sections):
        return
    if worker.facts.get("processes") is True:
        problem = f"{cache.name!r} lives in one process, and the worker {worker.name!r} uses several; change one of them"
        sections.structurer.blame(_origin(sections, "cache", "use"), ("cache", "use"), problem)


def extras(sections: Sections) -> list[Mistake]:
    """Return what is not installed of the extras that the chosen components need; a run would fail at them."""
    found = []
    for section, kind in BY_SECTION.items():
        for chosen in sections.chosen[section]:
            problem = sections.catalogue.lacking(kind.name, chosen.selection.use)
            if problem is not None:
                found.append(Mistake(str(chosen.node.origin), dotted(chosen.path), problem))
    return found


def _component(sections: Sections, section: str) -> Component | None:
    """Return the component that a section names, also where its settings are wrong; None where it names none."""
    kind, chosen = BY_SECTION[section], sections.chosen[section]
    if chosen:
        return sections.catalogue.component(kind.name, chosen[0].selection.use)
    table = sections.root.value.get(section)
    use = table.plain().get("use", kind.default) if table is not None and table.settled().is_table else None
    known = isinstance(use, str) and sections.catalogue.has(kind.name, use)
    return sections.catalogue.component(kind.name, str(use)) if known else None


def _origin(sections: Sections, section: str, key: str) -> Origin:
    """Return where a key of a section stands; where it stands nowhere, where the section does."""
    table = sections.root.value.get(section)
    if table is None:
        return Origin("default")
    settled = table.settled()
    found: Node | None = settled.value.get(key) if settled.is_table else None
    return settled.origin if found is None else found.origin


def _from_cache_alone(sections: Sections) -> bool:
    return sections.cache is not None and sections.cache.only
