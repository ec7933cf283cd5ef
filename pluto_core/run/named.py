"""Some scenarios by their tokens: their samples, from the cache where it has them, else computed."""

import contextlib
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from pluto_core.errors import PlutoError, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, manifest
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.selection import missing_tokens, select
from pluto_core.protocols import BatchSource
from pluto_core.run.workspace import Workspace
from pluto_core.samples import Sample, check
from pluto_core.scene import ScenarioId, Window

PART = "test"
"""Under which these batches are asked for: the part that nothing shuffles, cuts or varies."""


@attrs.frozen
class SomeSamples:
    """Samples in this process's memory (`pluto_core.pipeline.filling.SampleReader`)."""

    listing: Listing
    samples: dict[str, Sample]
    """By the scenario's key."""
    failed: tuple[str, ...] = ()
    """What was wrong with scenarios that give no sample."""
    known: frozenset[str] = frozenset()
    """Tokens that were found, those of failed scenarios included."""
    shared = False

    def get_many(self, keys: Sequence[str]) -> list[Sample]:
        """Return samples in the order of `keys`."""
        return [self.samples[key] for key in keys]

    def batches(self, workspace: Workspace) -> BatchSource:
        """Return them as batches, in order."""
        settings = attrs.evolve(workspace.experiment.loader, workers=0, test_fraction=1.0)
        spec, seed = workspace.sample_spec, workspace.experiment.seed
        return BatchLoader(self, self.listing, spec=spec, settings=settings, part=PART, seed=seed)


def samples_of(workspace: Workspace, tokens: Sequence[str]) -> SomeSamples:
    """Return the samples of every scenario that has one of these tokens, whatever the experiment's filter takes.

    Args:
        workspace: Of the experiment. Its cache is read where there is one, and never written.
        tokens: Names of scenarios.

    Raises:
        PlutoError: A token is known neither to cache nor source, or no scenario gives a sample.
    """
    stored = found = _stored(workspace, tokens)
    missing = missing_tokens(stored.listing, tokens)
    if missing and workspace.source_recipe is not None:
        found = _computed(workspace, missing)
    unknown = [token for token in missing if token not in found.known]
    if unknown:
        where = "the cache" if found is stored else "the dataset"
        raise PlutoError(f"{where} has no scenario {', '.join(unknown)}; `pluto scenarios FILE --csv -` lists tokens")
    listing = stored.listing if found is stored else Listing.concatenated([stored.listing, found.listing])
    if len(listing) == 0:
        raise PlutoError("\n".join(found.failed))
    place = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    order = sorted(range(len(listing)), key=lambda row: (place[listing.id(row).token], listing.id(row).start_us))
    return SomeSamples(listing.take(np.asarray(order, np.int64)), {**stored.samples, **found.samples}, found.failed)


def _stored(workspace: Workspace, tokens: Sequence[str]) -> SomeSamples:
    """Return those that the cache holds, if there is one."""
    if not (workspace.cache_path / manifest.NAME).is_file():
        return SomeSamples(Listing.of([]), {})
    asked = np.asarray([token.encode() for token in tokens], np.bytes_)
    with contextlib.closing(workspace.folder.reader(workspace.builders.tags)) as reader:
        return _gathered(reader.listing.take(np.isin(reader.listing.tokens, asked)), lambda one: reader.get_many([one.key])[0])


def _computed(workspace: Workspace, tokens: Sequence[str]) -> SomeSamples:
    """Return those that the source has, as a cache would give them back, so that a network sees the same numbers."""
    source, builders, profile = workspace.source, workspace.made_builders, workspace.experiment.cache.profile
    assert source is not None
    window = Window.union(builder.window for _, builder in builders)

    def build(scenario: ScenarioId) -> Sample:
        scene, sample = source.load(scenario, window), Sample()
        for _, builder in builders:
            built = builder.build(scene.narrow(builder.window))
            check(built, builder.spec)
            sample |= codec.decode(codec.encode(built, builder.spec, profile))
        return sample

    expand = workspace.experiment.filter.expand_scenarios
    wanted = ScenarioFilter(scenario_tokens=tuple(tokens), expand_scenarios=expand)
    return _gathered(select(source, wanted, workspace.experiment.seed).listing, build)


def _gathered(listing: Listing, get: Callable[[ScenarioId], Sample]) -> SomeSamples:
    """Return the sample of each scenario of a listing, and what was wrong with those that give none."""
    samples: dict[str, Sample] = {}
    failed = []
    for one in listing.ids():
        try:
            samples[one.key] = get(one)
        except SampleError as error:
            failed.append(f"scenario {one.token} gives no sample: {error.reason.value}: {error.detail}")
    kept = np.asarray([one.key in samples for one in listing.ids()], np.bool_)
    return SomeSamples(listing.take(kept), samples, tuple(failed), frozenset(one.token for one in listing.ids()))
