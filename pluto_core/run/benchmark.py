"""`pluto bench`: what every part of an experiment takes on this machine, with nothing written but into a temporary folder."""

import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import machine
from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.run import loading, stages, starting, stepping
from pluto_core.run.display import short
from pluto_core.run.figures import Figure
from pluto_core.run.outlook import existing_cache, scenarios_of
from pluto_core.run.provenance import versions
from pluto_core.run.workspace import PARTS, Workspace

MEASURED = (stages.FEATURES, stages.CACHE, loading.LOADER, stepping.STEP, starting.START_UP)
"""What can be measured, in the order in which it is."""
_BUSY = 0.5
"""Load a processor from which on times are told to be upper bounds."""


def _all_or(only: Sequence[str]) -> tuple[str, ...]:
    """Return some parts, or all where none is named."""
    return tuple(only) or MEASURED


@attrs.frozen(kw_only=True)
class Wishes:
    """What to measure, and how."""

    only: Sequence[str] = attrs.field(default=(), converter=_all_or)
    """Parts; none: all of them."""
    part: str = "train"
    workers: Sequence[int] = ()
    """Numbers of loading processes; none: what the experiment says."""
    rounds: int = 5
    seconds: float = 1.0
    samples: int = 48
    check: Sequence[str] = ()
    """Arguments with which `pluto check` reads the experiment."""


@attrs.frozen(kw_only=True)
class Report:
    """What was measured."""

    name: str
    cache: str
    rounds: int
    at: str
    """Date and time, UTC."""
    load: float | None
    """Busy processes of this machine when it began, over the last minute."""
    figures: tuple[Figure, ...]
    about: Mapping[str, str]
    """On what each part was measured."""
    left_out: Mapping[str, str]
    """Parts that were not measured, and why."""
    verdict: str
    """Whether training waits for its loader; empty where one of them is unknown."""
    machine: Mapping[str, str] = attrs.field(factory=machine.describe)
    versions: Mapping[str, str] = attrs.field(factory=versions)

    @property
    def busy(self) -> bool:
        """Return whether other programs were at work, so that times are upper bounds."""
        return self.load is not None and self.load > _BUSY * machine.processors()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        told = attrs.asdict(self, recurse=False)
        return {**told, "busy": self.busy, "figures": [figure.plain() for figure in self.figures]}


class Trial(Workspace):
    """A workspace on a few scenarios that were just computed; they stand for every part."""

    def __init__(self, workspace: Workspace, folder: CacheFolder, listing: Listing) -> None:
        super().__init__(workspace.experiment, workspace.note)
        self._place = folder.path
        self.listing = listing

    @property
    def cache_path(self) -> Path:
        """Return the temporary cache."""
        return self._place

    def _split(self, listing: Listing) -> Mapping[str, npt.NDArray[np.int64]]:
        return dict.fromkeys(PARTS, np.arange(len(listing)))


def bench(workspace: Workspace, wishes: Wishes, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Report:
    """Measure an experiment. Its cache is read where it has one; nothing is written but into a temporary folder.

    Args:
        workspace: Of the experiment.
        wishes: What to measure.
        progress: Called with rounds done and rounds to do.

    Raises:
        PlutoError: There is neither source nor cache, or one of them cannot be used.
    """
    load = None
    with contextlib.suppress(OSError, AttributeError):  # some systems do not say
        load = os.getloadavg()[0]
    at = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="pluto-bench-") as place:
        measurement = _Measurement(workspace, wishes, Path(place), progress)
        measurement.run()
    return Report(
        name=workspace.experiment.name,
        cache=str(workspace.cache_path),
        rounds=wishes.rounds,
        at=at,
        load=load,
        figures=tuple(measurement.figures),
        about=measurement.about,
        left_out=measurement.left_out,
        verdict=_verdict(measurement.figures),
    )


@attrs.define
class _Measurement:
    """One measurement on its way."""

    workspace: Workspace
    wishes: Wishes
    place: Path
    progress: Callable[[int, int], None]
    figures: list[Figure] = attrs.field(factory=list[Figure])
    about: dict[str, str] = attrs.field(factory=dict[str, str])
    left_out: dict[str, str] = attrs.field(factory=dict[str, str])
    _done: int = 0

    def run(self) -> None:
        asked = [part for part in MEASURED if part in self.wishes.only]
        if stepping.STEP in asked and not self.workspace.experiment.selected("model"):
            asked.remove(stepping.STEP)
            self.left_out[stepping.STEP] = "the experiment has no [model]"
        if set(asked) - {starting.START_UP}:
            samples = self._samples(asked)
            if loading.LOADER in asked:
                self._loader(samples)
            if stepping.STEP in asked:
                self._step(samples)
        if starting.START_UP in asked:
            self.about[starting.START_UP] = "each command is a process of its own"
            self.figures += starting.measure(self.wishes.check, rounds=self.wishes.rounds, progress=self._round_done)

    def _round_done(self) -> None:
        parts = set(self.wishes.only) - {stages.CACHE} if stages.FEATURES in self.wishes.only else set(self.wishes.only)
        more = max(len(self.wishes.workers) - 1, 0) if loading.LOADER in parts else 0
        self._done += 1
        self.progress(self._done, max(self._done, (self.wishes.rounds + 1) * (len(parts) + more)))

    def _samples(self, asked: Sequence[str]) -> Workspace:
        """Measure features and cache where they are asked for, and return what holds samples to load."""
        workspace, source = self.workspace, self.workspace.lister
        folder, problems = existing_cache(workspace)
        known = folder.manifest.tags if folder else ()
        lacking = [tag for tag in workspace.builders.tags if tag not in known]
        if folder and lacking:  # opened for these it would be a cache of them from now on
            problems = (f"{short(workspace.cache_path)} holds nothing of {', '.join(lacking)} yet",)
        if source is None:
            return self._without_source(asked, None if lacking else folder, problems)
        workspace.listing = scenarios_of(workspace, source, folder)
        cached = not lacking and len(workspace.stored) > 0
        computed = {stages.FEATURES, stages.CACHE}.intersection(asked)
        if cached and not computed:
            return workspace
        count = self.wishes.samples if cached else max(self.wishes.samples, workspace.experiment.loader.batch_size)
        found = stages.measure(
            workspace,
            stages.spread(workspace.listing, count),
            self.place,
            rounds=self.wishes.rounds if computed else 1,
            progress=self._round_done,
        )
        trial = Trial(workspace, found.folder, found.listing)
        self._stages(asked, found, trial)
        if not cached:
            why = problems[0].rstrip(":") if problems else f"{short(workspace.cache_path)} holds none yet"
            self._about_samples(asked, f"{len(trial.stored)} samples made for this ({why})")
            return trial
        return workspace

    def _without_source(self, asked: Sequence[str], folder: CacheFolder | None, problems: Sequence[str]) -> Workspace:
        workspace = self.workspace
        if folder is None:
            nowhere = "\n".join(problems) or f"there is no cache at {workspace.cache_path} to load from"
            raise PlutoError(f"{nowhere}; do the step first: pluto run FILE --only cache")
        if stages.FEATURES in asked:
            only = workspace.experiment.cache.only
            self.left_out[stages.FEATURES] = "cache.only is true" if only else "the experiment has no [source]"
        if stages.CACHE in asked:
            keys = [one.key for one in stages.spread(workspace.stored, self.wishes.samples).ids()]
            self.about[stages.CACHE] = f"{self._cache_name()}, {len(keys)} samples; only read, as nothing is computed"
            self.figures.append(stages.read_figure(folder, workspace.builders.tags, keys, self.wishes.rounds))
        return workspace

    def _stages(self, asked: Sequence[str], found: stages.Stages, trial: Trial) -> None:
        self.figures += [figure for figure in found.figures if figure.part in asked]
        if stages.FEATURES in asked:
            refused = ", ".join(f"{count} {reason}" for reason, count in found.failures.items())
            text = f"{len(found.listing)} scenarios of {found.logs} logs, in one process"
            self.about[stages.FEATURES] = text + (f"; some gave no sample: {refused}" if refused else "")
        if stages.CACHE in asked:
            self.about[stages.CACHE] = self._cache_name()
            keys = [one.key for one in trial.stored.ids()]
            self.figures.append(stages.read_figure(found.folder, trial.builders.tags, keys, self.wishes.rounds))

    def _cache_name(self) -> str:
        experiment = self.workspace.experiment
        return f"{experiment.selected('cache')[0].use}, profile {experiment.cache.profile}"

    def _about_samples(self, asked: Sequence[str], text: str) -> None:
        self.about |= {part: text for part in (loading.LOADER, stepping.STEP) if part in asked}

    def _loader(self, samples: Workspace) -> None:
        wishes = self.wishes
        self.about.setdefault(loading.LOADER, f"{len(samples.split[wishes.part]):,} samples of {wishes.part!r}")
        for count in wishes.workers or (samples.experiment.loader.workers,):
            measured = loading.measure(
                samples, wishes.part, workers=count, rounds=wishes.rounds, seconds=wishes.seconds, progress=self._round_done
            )
            self.figures.append(measured)

    def _step(self, samples: Workspace) -> None:
        wishes, experiment = self.wishes, samples.experiment
        what = ", ".join(experiment.selected(section)[0].use for section in ("trainer", "model"))
        on = self.about.get(stepping.STEP, f"{len(samples.split[wishes.part]):,} samples of {wishes.part!r}")
        self.about[stepping.STEP] = f"{what}; {on}"
        place = self.place / "training"
        place.mkdir()
        self.figures += stepping.measure(
            samples, wishes.part, place, rounds=wishes.rounds, seconds=wishes.seconds, progress=self._round_done
        )


def _verdict(figures: Sequence[Figure]) -> str:
    """Return whether training waits for its loader."""
    loader = next((figure for figure in figures if figure.part == loading.LOADER), None)
    step = next((figure.median for figure in figures if figure.name == stepping.RATE), None)
    if loader is None or step is None:
        return ""
    if loader.more["workers"] == 0:
        return f"loading in the training process takes {step / (step + loader.median):.0%} of its time"
    if loader.median >= step:
        return f"training does not wait: loading is {loader.median / step:.1f} times as fast"
    return f"training waits {1 - loader.median / step:.0%} of its time; docs/loading.md says what helps"
