"""Several augmentations as one: each varies every role that those before it gave."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import attrs
import numpy as np

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError
from pluto_core.pipeline.layout import ANCHOR
from pluto_core.protocols import Augmentation
from pluto_core.samples import Array, Sample

Chance = Callable[[str], np.random.Generator]
"""Gives the generator of one application, by its name (`Contrast`, `Noise@positive`, `Noise#2`)."""


Finish = Callable[[], object]
"""Computes arrays that were given before they hold anything; `bool`, which does nothing, where none were."""


@runtime_checkable
class TwoStepAugmentation(Protocol):
    """What an augmentation may offer: large arrays computed last, by code that leaves the interpreter to others."""

    late: Collection[str]
    """Keys of those arrays."""

    def begin(
        self, sample: Mapping[str, Array], rng: np.random.Generator, epoch: int
    ) -> tuple[Mapping[str, Sample | None], Finish]:
        """Return what `augment` returns, in which `late` arrays may hold nothing yet, and what computes those."""
        ...


@attrs.frozen(eq=False)
class _Link:
    """One augmentation applied to one role."""

    augmentation: Augmentation
    name: str
    source: str
    targets: Mapping[str, str]
    """Role of the batch by role of the augmentation."""


@attrs.frozen(eq=False)
class Chain:
    """Augmentations in order."""

    specs: Mapping[str, SampleSpec]
    """Spec of each role, the anchor first."""
    links: tuple[_Link, ...]

    two_step: TwoStepAugmentation | None = None
    """The only one, if it computes its large arrays last."""

    @property
    def late(self) -> Collection[str]:
        """Return the keys of arrays that `begin` may leave for later."""
        return self.two_step.late if self.two_step else ()

    def apply(self, sample: Mapping[str, Array], chance: Chance, epoch: int) -> dict[str, Mapping[str, Array] | None]:
        """Return the sample of every role; see `begin`."""
        made, finish = self.begin(sample, chance, epoch)
        finish()
        return made

    def begin(
        self, sample: Mapping[str, Array], chance: Chance, epoch: int
    ) -> tuple[dict[str, Mapping[str, Array] | None], Finish]:
        """Return the sample of every role, None where it could not be varied, and what computes its `late` arrays.

        Args:
            sample: As stored; it is not changed.
            chance: Gives the generator of each application.
            epoch: Number of the epoch, from 0.
        """
        made: dict[str, Mapping[str, Array] | None] = {ANCHOR: sample}
        finish: Finish = bool
        for link in self.links:
            given = made[link.source]
            varied: Mapping[str, Sample | None] = {}
            if given is not None and self.two_step:
                varied, finish = self.two_step.begin(given, chance(link.name), epoch)
            elif given is not None:
                varied = link.augmentation.augment(given, chance(link.name), epoch)
            for role, target in link.targets.items():
                made[target] = varied.get(role)
        return {role: made[role] for role in self.specs}, finish


def chain(augmentations: Sequence[Augmentation], spec: SampleSpec) -> Chain:
    """Return augmentations as one.

    The first sees the sample; the next sees every role that the first gave. What it makes of the anchor keeps its name;
    what it makes of another role, other than that role's own new form, is called `role_new`: `positive_negative`.

    Args:
        augmentations: In the order of the file. Their random numbers are keyed by the name of their class and, where that
            comes more than once, by its number.
        spec: Spec of the stored samples.

    Raises:
        PlutoError: An augmentation lacks an array, gives no anchor, or gives a role that is there already.
    """
    specs: dict[str, SampleSpec] = {ANCHOR: spec}
    links: list[_Link] = []
    seen: dict[str, int] = {}
    for augmentation in augmentations:
        name = type(augmentation).__name__
        seen[name] = seen.get(name, 0) + 1
        own_name = name if seen[name] == 1 else f"{name}#{seen[name]}"
        for source, known in list(specs.items()):
            given = augmentation.output_spec(known)
            targets = _targets(name, source, given, specs)
            link_name = own_name if source == ANCHOR else f"{own_name}@{source}"
            links.append(_Link(augmentation, link_name, source, targets))
            specs.update({target: given[role] for role, target in targets.items()})
    alone = augmentations[0] if len(augmentations) == 1 else None
    return Chain(specs, tuple(links), alone if isinstance(alone, TwoStepAugmentation) else None)


def _targets(name: str, source: str, given: Mapping[str, SampleSpec], specs: Mapping[str, SampleSpec]) -> dict[str, str]:
    if ANCHOR not in given:
        message = f"augmentation {name!r} gives no role {ANCHOR!r}"
        raise PlutoError(message)
    targets = {role: _target(role, source) for role in given}
    twice = sorted(target for target in targets.values() if target != source and target in specs)
    if twice:
        message = f"augmentation {name!r} gives the role {', '.join(twice)}, which another one gives already; leave one out"
        raise PlutoError(message)
    return targets


def _target(role: str, source: str) -> str:
    if role == ANCHOR:
        return source
    return role if source == ANCHOR else f"{source}_{role}"
