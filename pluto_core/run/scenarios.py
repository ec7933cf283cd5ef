"""Scenarios to look at: those of an experiment, of a cache, or of a run with what it planned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError, SampleError
from pluto_core.listing import Listing
from pluto_core.pipeline.augmenting import chain
from pluto_core.pipeline.randomness import generator
from pluto_core.plan import Plan, Truth, constant_acceleration, constant_velocity, displacement_errors
from pluto_core.protocols import SceneBuilder, Sketcher
from pluto_core.run.supplies import Stored, Supply
from pluto_core.run.workspace import Workspace
from pluto_core.samples import Array, Sample
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_core.sketch import Sketch, joined

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Note = Callable[[str], None]

TRUTH = ("truth/trajectory", "truth/valid")
_MOTION = ("truth/speed", "truth/acceleration")
_JUDGED = "fde_top1_m"


@attrs.frozen(kw_only=True, eq=False)
class Drawing:
    """One scenario that can be drawn."""

    id: ScenarioId
    scenario_type: str
    map_name: str
    sketch: Sketch
    plan: Plan | None = None
    """(1, K, T, 3) what a run planned; None where nothing was."""
    errors: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """Of the plan: `ade_top1_m` and the like; NaN where unknown."""
    role: str = ""
    """Of an augmented sample: `anchor`, `positive`, `negative`, and so on."""


@attrs.frozen(kw_only=True, eq=False)
class Predictions:
    """What a run planned for the scenarios of one part."""

    part: str
    by_key: Mapping[str, Plan]
    """(1, K, T, 3) each."""


class Scenarios:
    """Scenarios with their scenes, samples and drawings, each made when it is asked for.

    A scenario is named by its row in `listing`, or by its token, or by the beginning of one that no other token has.
    """

    def __init__(
        self,
        listing: Listing,
        supply: Supply,
        builders: Sequence[tuple[str, SceneBuilder]],
        *,
        workspace: Workspace | None = None,
        predictions: Predictions | None = None,
    ) -> None:
        """Take what there is to look at.

        Args:
            listing: The scenarios.
            supply: Gives their samples.
            builders: Those that made the samples, by tag.
            workspace: Of the experiment, where there is one.
            predictions: What a run planned.
        """
        self.listing = listing
        self.builders = builders
        self.workspace = workspace
        self.predictions = predictions
        self._supply = supply

    def __len__(self) -> int:
        """Return the number of scenarios."""
        return len(self.listing)

    def row(self, which: int | str) -> int:
        """Return the row of a scenario.

        Raises:
            PlutoError: There is no such scenario, or there are several.
        """
        if isinstance(which, int):
            if not -len(self) <= which < len(self):
                raise PlutoError(f"there is no scenario {which}; there are {len(self)}")
            return which % len(self)
        wanted = which.encode()
        rows = np.flatnonzero(np.char.startswith(self.listing.tokens, wanted)) if wanted else np.zeros(0, np.int64)
        exact = rows[self.listing.tokens[rows] == wanted]
        found = exact if len(exact) else rows
        if len(found) != 1 and len({self.listing.tokens[row] for row in found}) != 1:
            what = f"{len(found)} scenarios have tokens that begin" if len(found) else "there is no scenario whose token begins"
            raise PlutoError(f"{what} with {which!r}, of {len(self)}")
        return int(found[0])

    def scene(self, which: int | str, window: Window | None = None) -> Scene:
        """Return the scene of a scenario, over what the builders need or another window.

        Raises:
            PlutoError: There is no source to read it from.
            SampleError: The source cannot give it.
        """
        if self.workspace is None or self.workspace.source is None:
            message = "scenes come from a dataset: name the file of an experiment that has a [source]"
            raise PlutoError(message)
        return self.workspace.source.load(self.listing.id(self.row(which)), window or self.window)

    @property
    def window(self) -> Window:
        """Return the span that the builders need."""
        return Window.union(builder.window for _, builder in self.builders)

    def sample(self, which: int | str) -> Sample:
        """Return the sample of a scenario: arrays by key.

        Raises:
            SampleError: It gives none; with the reason.
        """
        found = next(iter(self._supply.samples([self.listing.id(self.row(which))])))
        if isinstance(found, SampleError):
            raise found
        return found

    def drawing(self, which: int | str) -> Drawing:
        """Return the drawing of a scenario.

        Raises:
            SampleError: It gives no sample; with the reason.
        """
        row = self.row(which)
        return self._drawn(row, self.sample(row))

    def drawings(self, rows: Sequence[int], note: Note = lambda _text: None) -> Iterator[Drawing]:
        """Yield drawings in order; those that cannot be made are told to `note` and left out."""
        ids = [self.listing.id(row) for row in rows]
        for row, found in zip(rows, self._supply.samples(ids), strict=True):
            if isinstance(found, SampleError):
                note(f"{self.listing.id(row).token} cannot be drawn: {found}")
            else:
                yield self._drawn(row, found)

    def variants(self, which: int | str, epoch: int = 0) -> list[Drawing]:
        """Return drawings of what the augmentations make of a scenario in an epoch of training: one for each role.

        Raises:
            PlutoError: The experiment has no augmentation.
            SampleError: The scenario gives no sample; with the reason.
        """
        row = self.row(which)
        made = self._varied(self.listing.id(row), self.sample(row), epoch)
        return [attrs.evolve(self._drawn(row, sample), role=role, plan=None) for role, sample in made.items() if sample]

    def _varied(self, scenario: ScenarioId, sample: Sample, epoch: int) -> Mapping[str, Mapping[str, Array] | None]:
        workspace = self.workspace
        if workspace is None or not workspace.experiment.selected("augmentations"):
            message = "there are no augmentations: name an experiment that has [[augmentations]]"
            raise PlutoError(message)
        context = workspace.context(sample_spec=workspace.sample_spec)
        steps = chain(workspace.experiment.make_all("augmentations", context), workspace.sample_spec)

        def chance(name: str) -> np.random.Generator:
            return generator(workspace.experiment.seed, "augmentation", name, epoch, scenario.key)

        return steps.apply(sample, chance, epoch)

    def _drawn(self, row: int, sample: Mapping[str, Array]) -> Drawing:
        sketchers = [builder for _, builder in self.builders if isinstance(builder, Sketcher)]
        if not sketchers:
            names = ", ".join(tag for tag, _ in self.builders)
            raise PlutoError(f"none of the builders ({names}) offers a `sketch`, so its samples cannot be drawn")
        identity = self.listing.id(row)
        plan = self.predictions.by_key.get(identity.key) if self.predictions else None
        return Drawing(
            id=identity,
            scenario_type=self.listing.types.text(row),
            map_name=self.listing.maps.text(row),
            sketch=joined([sketcher.sketch(sample) for sketcher in sketchers]),
            plan=plan,
            errors={} if plan is None else _judged(plan, sample),
        )

    @cached_property
    def judged(self) -> Mapping[str, Mapping[str, Floats]]:
        """Return the errors of the plans and of the baselines, by planner and name, one row a scenario, NaN where unknown.

        Empty without a run's plans.
        """
        if self.predictions is None or self.workspace is None:
            return {}
        plans, ids = self.predictions.by_key, list(self.listing.ids())
        interval_s = self.workspace.truth_interval_s
        found: list[Mapping[str, Mapping[str, float]]] = [
            {} if isinstance(sample, SampleError) else _errors(plans[one.key], sample, interval_s)
            for one, sample in zip(ids, self._supply.samples(ids, (*TRUTH, *_MOTION)), strict=True)
        ]
        planners = dict.fromkeys(planner for row in found for planner in row)
        return {planner: _columns([row.get(planner, {}) for row in found]) for planner in planners}

    @property
    def errors(self) -> Mapping[str, Floats]:
        """Return the errors of the plans by name, one row a scenario, NaN where unknown; empty without a run's plans."""
        return self.judged.get("planner", {})

    def failures(self) -> Iterator[tuple[str, str, str]]:
        """Yield (reason, token, detail) of one failed scenario of each reason, where the samples are of a cache."""
        told: set[str] = set()
        for failure in self._supply.folder.failures().values() if isinstance(self._supply, Stored) else ():
            if failure.reason.value not in told:
                told.add(failure.reason.value)
                yield failure.reason.value, failure.scenario.token, failure.detail

    def ranked(self) -> Rows:
        """Return the rows from the least to the greatest final displacement error; unknown ones are left out.

        Raises:
            PlutoError: There are no plans.
        """
        if not self.errors:
            message = "only the scenarios of a run with predictions are better or worse than others"
            raise PlutoError(message)
        order = np.argsort(self.errors[_JUDGED], kind="stable")
        return order[np.isfinite(self.errors[_JUDGED][order])]


def _judged(plan: Plan, sample: Mapping[str, Any]) -> dict[str, float]:
    if not all(key in sample for key in TRUTH):
        return {}
    truth = Truth(trajectory=sample[TRUTH[0]][None].astype(np.float64), valid=sample[TRUTH[1]][None].astype(np.bool_))
    return {name: float(values[0]) for name, values in displacement_errors(plan, truth).items()}


def _errors(plan: Plan, sample: Mapping[str, Any], interval_s: float) -> dict[str, dict[str, float]]:
    """Return the errors of a plan and of the baselines for one sample."""
    found = {"planner": _judged(plan, sample)}
    if all(key in sample for key in (*TRUTH, *_MOTION)):
        speed, acceleration = (np.asarray([sample[key]], np.float64) for key in _MOTION)
        steps = sample[TRUTH[0]].shape[0]
        found["constant_velocity"] = _judged(constant_velocity(speed, steps, interval_s), sample)
        found["constant_acceleration"] = _judged(constant_acceleration(speed, acceleration, steps, interval_s), sample)
    return found


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.asarray([row.get(name, np.nan) for row in rows]) for name in names}


def silent(_text: str) -> None:
    """Say nothing."""
