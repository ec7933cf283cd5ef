"""What a run works on: source, listing, builders, cache, parts and their batches, each made when first asked for."""

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.arrays import SampleSpec, join
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.experiment import Experiment
from pluto_core.listing import Listing
from pluto_core.pipeline.caching import CacheReport, cache_scenarios
from pluto_core.pipeline.durable import ReadOnlyError
from pluto_core.pipeline.fingerprint import Fingerprint, fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.listings import keys_of
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.parts import Part
from pluto_core.pipeline.progress import Progress
from pluto_core.pipeline.randomness import generator
from pluto_core.pipeline.reader import CacheReader
from pluto_core.pipeline.replacements import Replacement
from pluto_core.pipeline.selection import Selected, filter_digest, select
from pluto_core.pipeline.spreading import Spread
from pluto_core.places import cache_home, user_path
from pluto_core.protocols import BatchSource, ScenarioSource, SceneBuilder, ShardStore
from pluto_core.run.recipes import Builders, Recipe, recipe, tags
from pluto_core.run.stored import StoredScenarios
from pluto_core.scene import ScenarioId

PARTS = ("train", "val", "test")


class Workspace:
    """The data side of one experiment."""

    def __init__(self, experiment: Experiment, note: Callable[[str], None]) -> None:
        """Remember the experiment; nothing is opened yet."""
        self.experiment = experiment
        self.note = note
        self.home = cache_home()
        self.funnel: list[tuple[str, int]] = []
        self.part: Part | None = None
        """What of the listing the cache step is to compute; None: all of it."""
        self._given: list[tuple[CacheReader, BatchLoader]] = []

    def context(self, **more: Any) -> Context:
        """Return what factories learn about this run."""
        return Context(seed=self.experiment.seed, cache_home=self.home, note=self.note, **more)

    @cached_property
    def source_recipe(self) -> Recipe | None:
        """Return how workers make the source; None where the experiment has none, or trains from the cache alone."""
        selected = self.experiment.selected("source")
        if not selected or self.experiment.cache.only:
            return None
        return self._recipe("sources", selected[0])

    @cached_property
    def source(self) -> ScenarioSource | None:
        """Return the source of this process."""
        made: ScenarioSource | None = None
        if self.source_recipe is not None:
            made = self.experiment.make("source", self.context())
        return made

    @cached_property
    def lister(self) -> ScenarioSource | None:
        """Return the source of this process, for listing: the experiment's worker helps where there are many logs."""
        if self.source is None or self.source_recipe is None:
            return None
        return Spread(self.source, self.source_recipe, lambda: self.experiment.make("worker", self.context()))

    @cached_property
    def builders(self) -> Builders:
        """Return the builders, features first."""
        chosen = [("features", one) for one in self.experiment.selected("features")]
        chosen += [("targets", one) for one in self.experiment.selected("targets")]
        if not chosen:
            message = "the experiment names no [[features]], and its model asks for none; add a builder"
            raise PlutoError(message)
        names = tags([one.use for _, one in chosen])
        return Builders(tuple((tag, self._recipe(kind, one)) for tag, (kind, one) in zip(names, chosen, strict=True)))

    @cached_property
    def made_builders(self) -> list[tuple[str, SceneBuilder]]:
        """Return the builders of this process, by tag."""
        return self.builders()

    @cached_property
    def sample_spec(self) -> SampleSpec:
        """Return the spec of a whole sample."""
        return join((tag, builder.spec) for tag, builder in self.made_builders)

    @property
    def truth_interval_s(self) -> float:
        """Return the time between two steps of the truth."""
        for _, builder in self.made_builders:
            if "truth/trajectory" in builder.spec:
                return builder.window.interval_s
        message = "evaluation needs the target 'ego_trajectory'; add [[targets]] with use = \"ego_trajectory\""
        raise PlutoError(message)

    @cached_property
    def store(self) -> ShardStore:
        """Return how shards are stored."""
        store: ShardStore = self.experiment.make("cache", self.context())
        return store

    @property
    def cache_path(self) -> Path:
        """Return the cache folder."""
        path = self.experiment.cache.path
        return user_path(path) if path else self.experiment.output_dir / "cache"

    @cached_property
    def folder(self) -> CacheFolder:
        """Return the cache folder, opened and known to fit this experiment."""
        settings = self.experiment.cache
        scratch = user_path(settings.scratch) if settings.scratch else None
        folder = CacheFolder(self.cache_path, self.store, name=self._cache_name, scratch=scratch)
        folder.open_or_create(self.fingerprint, note=self.note)
        if self.source_recipe is None:  # with a source, the cache step says it and computes them again
            for problem in folder.problems():
                self.note(f"{problem}; its samples are missing, run the step 'cache' where the dataset is")
        return folder

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Return what decides whether stored values are still right."""
        configs = {tag: one.config for tag, one in self.builders.recipes}
        identity = self.source.identity() if self.source else None
        return fingerprint(identity, [(tag, builder, configs[tag]) for tag, builder in self.made_builders])

    @property
    def _cache_name(self) -> str:
        selected = self.experiment.selected("cache")
        return selected[0].use if selected else ""

    @cached_property
    def listing(self) -> Listing:
        """Return the scenarios of the experiment's filter, from the cache where it holds that listing."""
        wanted, seed = self.experiment.filter, self.experiment.seed
        digest = filter_digest(wanted, self.source.identity() if self.source else None, seed)
        stored = self.folder.load_listing(digest)
        if stored is not None:
            self.funnel = [(str(stage), int(count)) for stage, count in stored[1].get("stages", ())]
            return stored[0]
        source = self.lister or StoredScenarios(self.folder.reader(self.builders.tags))
        selected = select(source, wanted, seed)
        self.funnel = selected.funnel
        self.explain(selected)
        # Under two names: with the dataset's identity for runs that have it, without for those that train from the cache alone.
        for name in {digest, filter_digest(wanted, None, seed)} if self.source else set[str]():
            with contextlib.suppress(ReadOnlyError):  # then they are listed again by the next run
                self.folder.save_listing(name, selected.listing, {"stages": [list(stage) for stage in selected.funnel]})
        return selected.listing

    def explain(self, selected: Selected) -> None:
        """Tell which logs were left out, and which names of the filter nobody has.

        Raises:
            PlutoError: Nothing was taken.
        """
        for log, reason, detail in self.lister.problems() if self.lister else ():
            self.note(f"log {log} left out: {reason.value}: {detail}")
        for sentence in selected.unmet:
            self.note(sentence)
        if len(selected.listing) == 0:
            stages = ", ".join(f"{stage} {count}" for stage, count in selected.funnel)
            message = f"the filter takes no scenario ({stages}); loosen [filter]"
            raise PlutoError(message)

    def cache(self, progress: Callable[[Progress], None]) -> CacheReport:
        """Compute and store what is missing."""
        if self.source_recipe is None:
            message = "the step 'cache' needs a [source], and cache.only must be false"
            raise PlutoError(message)
        if self.part is not None and not self.store.shared:
            message = f"cache.use = {self._cache_name!r} ends with its process, so parts of it never meet; choose another one"
            raise PlutoError(message)
        return cache_scenarios(
            make_source=self.source_recipe,
            make_builders=self.builders,
            listing=self.listing.take(self.part.rows(self.listing)) if self.part else self.listing,
            tags=self.builders.tags,
            folder=self.folder,
            worker=self.experiment.make("worker", self.context()),
            max_failures=self.experiment.max_failures,
            retry=self.experiment.cache.retry_failures,
            profile=self.experiment.cache.profile,
            part=self.part.name if self.part else "all",
            progress=progress,
            note=self.note,
        )

    def coverage(self) -> str:
        """Return how much of the listing is in the cache by now, whoever computed it."""
        keys, known = np.unique(keys_of(self.listing)), self.folder.index()
        missing = np.setdiff1d(keys, known.keys[known.complete(self.builders.tags)])
        failed = np.isin(missing, np.asarray([key.encode() for _, key in self.folder.given_up()], np.bytes_)).sum()
        text = f"{len(keys) - len(missing):,} of {len(keys):,} scenarios are in the cache by now"
        return text + (f", {failed:,} failed" if failed else "") + (": the whole is done" if failed == len(missing) else "")

    def incomplete(self) -> bool:
        """Return whether the cache step has something to do."""
        missing = self.folder.missing(self.listing, self.builders.tags)
        return any(len(rows) for rows in missing.values())

    def wipe_cache(self) -> None:
        """Delete the cache; a folder that is none is left as it is, and refused when it is opened.

        Raises:
            PlutoError: A run uses the cache.
        """
        CacheFolder(self.cache_path, self.store, name=self._cache_name).clear()

    def types_of(self, ids: Sequence[ScenarioId]) -> list[str]:
        """Return the scenario types of some stored scenarios."""
        known = {one.key: self.stored.types.text(row) for row, one in enumerate(self.stored.ids())}
        return [known[one.key] for one in ids]

    @cached_property
    def stored(self) -> Listing:
        """Return the scenarios of the listing that the cache holds, in the order of their keys."""
        keys, held = keys_of(self.listing), self.folder.reader(self.builders.tags).keys.array
        order = np.argsort(keys, kind="stable")
        return self.listing.take(order[np.isin(keys[order], held)])

    @cached_property
    def split(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Return rows of `stored` by part."""
        return self._split(self.stored)

    def require(self, parts: Collection[str], listing: Listing) -> None:
        """Refuse to begin what would end at an empty part.

        Raises:
            PlutoError: One of these parts of the listing has no scenario.
        """
        split = self._split(listing)
        for part in parts:
            if len(split.get(part, ())) == 0:
                sizes = ", ".join(f"{name} {len(split.get(name, ()))}" for name in PARTS)
                message = f"the part {part!r} is empty ({sizes}); change [splitter] or widen [filter]"
                raise PlutoError(message)

    def sizes(self, listing: Listing) -> dict[str, int]:
        """Return how many scenarios of a listing belong to each part."""
        return {part: len(rows) for part, rows in self._split(listing).items()}

    def _split(self, listing: Listing) -> Mapping[str, npt.NDArray[np.int64]]:
        parts: Mapping[str, npt.NDArray[np.int64]] = self.experiment.make("splitter", self.context()).split(listing)
        count = self.experiment.loader.overfit_samples
        if count is None:
            return parts
        train = parts["train"]
        few = train[np.sort(generator(self.experiment.seed, "overfit").permutation(len(train))[:count])]
        return dict.fromkeys(PARTS, few)

    def batches(self, part: str, *, workers: int | None = None) -> BatchSource:
        """Return the batches of a part; `workers` stands in for `loader.workers`.

        Raises:
            PlutoError: The part is empty.
        """
        self.require([part], self.stored)
        rows, settings = self.split[part], self.experiment.loader
        if workers is not None:
            settings = attrs.evolve(settings, workers=workers)
        augmentations = self.experiment.make_all("augmentations", self.context(sample_spec=self.sample_spec))
        reader = self.folder.reader(self.builders.tags, verify=settings.verify, make_builders=self.builders)
        loader = BatchLoader(
            reader,
            self.stored.take(rows),
            spec=self.sample_spec,
            augmentations=augmentations if part == "train" and settings.overfit_samples is None else (),
            settings=settings,
            part=part,
            seed=self.experiment.seed,
        )
        self._given.append((reader, loader))
        return loader

    def release(self) -> list[Replacement]:
        """End what gives batches, let go of the cache, and return the damaged samples that others stood in for."""
        given, self._given = self._given, []
        with contextlib.ExitStack() as ending:  # which ends every one, also where Ctrl-C meets another
            for reader, loader in given:
                ending.callback(reader.close)
                ending.callback(loader.close)
        return [one for _, loader in given for one in loader.replaced.values()]

    def _recipe(self, kind: str, selection: Any) -> Recipe:
        section_kind = {"features": "features", "targets": "targets", "sources": "sources"}[kind]
        component = self.experiment.catalogue.component(section_kind, selection.use)
        return recipe(component, selection.config, seed=self.experiment.seed, cache_home=self.home)
