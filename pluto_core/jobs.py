"""What passes between the core and workers, loaders and trainers."""

import pickle
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason
from pluto_core.plan import Plan, Truth
from pluto_core.scene import ScenarioId

if TYPE_CHECKING:
    from pluto_core.protocols import BatchSource, Objective, OptimizerMaker, RunCallback, RunLogger, ScheduleMaker


@attrs.frozen(kw_only=True)
class Identity:
    """What a source is, for fingerprints: equal identities give equal scenes."""

    reader: str
    """Name and version of the reading code, such as `nuplan/1`; raised when scenes change."""
    settings: Mapping[str, Any]
    """Settings that change scenes (not paths, not speed)."""
    dataset: Mapping[str, int]
    """Names of logs and maps, without folders, and numbers that tell a changed file: size (bytes), count of writes."""
    listing: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Settings that change what is listed, and no scene: samples of a scenario listed with others are right, too."""


@attrs.frozen(kw_only=True)
class Batch:
    """Units of work of one group (scenarios of one log), which one worker does in order."""

    group: str
    units: tuple[Any, ...]


@attrs.frozen
class Lost:
    """In place of a result: the worker died twice, or hung, at this unit."""

    reason: Reason
    detail: str


def portable(error: BaseException) -> tuple[BaseException, str]:
    """Return an error, or one that says the same where it cannot be sent to another process, and its traceback."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- a proof that it survives, on our own bytes
    except Exception:  # noqa: BLE001 -- whatever keeps it from being sent
        return RuntimeError(f"{type(error).__name__}: {error}"), trace
    return error, trace


@attrs.frozen(kw_only=True, eq=False)
class SampleBatch:
    """One batch as arrays. They are views into a buffer that is used again: take what you need before the next batches come."""

    arrays: Mapping[str, npt.NDArray[Any]]
    """(rows, ...) by flat key, padded as the specs say. With augmentations also `role` (rows,) int8, an index into `roles`, and
    `role_valid` (rows,) bool: whether the row could be varied. Rows stand role by role: all anchors first."""
    ids: tuple[ScenarioId, ...]
    """Scenario of each sample; row `r * len(ids) + i` is sample `i` in role `r`."""
    roles: tuple[str, ...] = ("anchor",)

    @property
    def size(self) -> int:
        """Return the number of samples, not counting variants."""
        return len(self.ids)


@attrs.frozen(kw_only=True)
class TrainingJob:
    """What a trainer is given: how to make the parts, where the data comes from, where to write."""

    run_dir: Path
    seed: int
    resolved: str
    """The resolved experiment, stored in every checkpoint."""
    make_model: Callable[[], Any]
    make_objective: "Callable[[Any], Objective]"
    """Takes the model."""
    make_optimizer: "Callable[[], OptimizerMaker]"
    make_schedule: "Callable[[], ScheduleMaker]"
    parts: "Mapping[str, BatchSource]"
    loggers: "Sequence[RunLogger]" = ()
    callbacks: "Sequence[RunCallback]" = ()
    interactive: bool = True
    """Whether to show progress bars."""


@attrs.frozen(kw_only=True, eq=False)
class Evaluated:
    """What a model planned for one batch, and what happened."""

    ids: tuple[ScenarioId, ...]
    plan: Plan
    """Its most probable modes, best first."""
    truth: Truth
    speed_mps: npt.NDArray[np.float64]
    """(B,) longitudinal speed at time zero, for the baselines."""
    acceleration_mps2: npt.NDArray[np.float64]
    """(B,)"""
    losses: Mapping[str, float]
    """Terms of the objective for this batch."""


@attrs.frozen(kw_only=True)
class StepResult:
    """What a step did."""

    numbers: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Plain values for `results.json`."""
    files: Mapping[str, Path] = attrs.field(factory=dict[str, Path])
    """What it wrote, by what it is: `checkpoint (best)`, `TensorBoard log`."""
