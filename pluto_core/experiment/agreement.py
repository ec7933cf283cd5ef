"""Whether the components of an experiment fit together: what must be there, and which arrays one needs of another."""

from collections.abc import Iterator, Mapping

from pluto_core.arrays import ArraySpec, join
from pluto_core.component import Requirement
from pluto_core.errors import PlutoError
from pluto_core.experiment.nodes import Origin
from pluto_core.experiment.sections import Chosen, Sections
from pluto_core.settings import TopLevel

_BUILDERS = ("features", "targets")
_READERS = ("augmentations", "model", "objective")
_SHOWN = 5


def check_presence(sections: Sections, top: TopLevel, whole: Origin) -> None:
    """Note what the experiment's steps need and nobody names."""
    named = sections.root.value
    blame = sections.structurer.blame
    if "source" not in named and "cache" not in named:
        blame(whole, (), "there is no [source]; add one, or a [cache] to train from")
    if {"train", "validate", "test"} & set(top.steps):
        if "model" not in named:
            steps = ", ".join(step for step in top.steps if step != "cache")
            blame(whole, (), f"there is no [model], which the steps need ({steps})")
    elif "cache" in top.steps and "source" in named and not {"model", "features", "targets"} & named.keys():
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
