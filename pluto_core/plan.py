"""Plans and how good they are: one torch-free place, so that all models compare.

Row `b` of a batch, mode `k`, step `t`. Trajectories are poses of the rear axle in the ego frame of time zero (x forward, y
left, heading), m and rad; step `t` is `(t + 1) * interval_s` after time zero.
"""

from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MISS_DISTANCE_M = 2.0
"""A mode misses when its last pose is further than this from the truth (nuPlan's and PLUTO's threshold)."""
_AGENTS = "_agents"
"""Ending of the columns that say of how many agents an error is the mean."""


@attrs.frozen(kw_only=True, eq=False)
class Forecast:
    """Where a planner expects others to go, and where they went; poses in the ego frame of time zero."""

    trajectories: npt.NDArray[np.floating]
    """(B, N, T, 3) x, y, heading of N agents."""
    exists: Mask
    """(B, N) whether there is such an agent; the rest is padding."""
    recorded: npt.NDArray[np.floating]
    """(B, N, T, 3) what they did."""
    known: Mask
    """(B, N, T) whether that was recorded; nowhere for padding and for live input."""

    def __attrs_post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        shape = self.trajectories.shape
        shapes = (self.recorded.shape, (*self.exists.shape, *shape[2:]), (*self.known.shape, *shape[3:]))
        if len(shape) != 4 or shape[-1] != 3 or any(one != shape for one in shapes):  # noqa: PLR2004
            found = f"{shape}, {self.exists.shape}, {self.recorded.shape}, {self.known.shape}"
            message = f"a forecast holds (B, N, T, 3), (B, N), (B, N, T, 3) and (B, N, T), not {found}"
            raise PlutoError(message)


@attrs.frozen(kw_only=True, eq=False)
class Plan:
    """What a planner intends, for a batch of scenarios."""

    trajectories: npt.NDArray[np.floating]
    """(B, K, T, 3) x, y, heading; modes in any order."""
    probabilities: npt.NDArray[np.floating]
    """(B, K) not negative; a row sums to one. Modes that do not exist have probability 0."""
    forecast: Forecast | None = None
    """What it expects of others, where it says so."""

    def __attrs_post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        modes = self.trajectories.shape[:2]
        if self.trajectories.ndim != 4 or self.trajectories.shape[-1] != 3 or self.probabilities.shape != modes:  # noqa: PLR2004
            found = f"{self.trajectories.shape} and {self.probabilities.shape}"
            message = f"a plan holds trajectories (B, K, T, 3) and probabilities (B, K), not {found}"
            raise PlutoError(message)

    def __len__(self) -> int:
        """Return the number of scenarios."""
        return len(self.trajectories)

    def top(self, count: int) -> "Plan":
        """Return the `count` most probable modes of every row, best first; fewer where there are fewer."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return Plan(
            trajectories=np.take_along_axis(self.trajectories, order[..., None, None], axis=1),
            probabilities=np.take_along_axis(self.probabilities, order, axis=1),
            forecast=self.forecast,
        )

    @classmethod
    def concatenated(cls, plans: list["Plan"]) -> "Plan":
        """Return the rows of all plans, without forecasts; modes with probability 0 are added where numbers of modes differ."""
        modes = max(plan.probabilities.shape[1] for plan in plans)
        grown = [plan.grown(modes) for plan in plans]
        return cls(
            trajectories=np.concatenate([plan.trajectories for plan in grown]),
            probabilities=np.concatenate([plan.probabilities for plan in grown]),
        )

    def grown(self, modes: int) -> "Plan":
        """Return the plan with at least `modes` modes; added ones have probability 0."""
        missing = modes - self.probabilities.shape[1]
        if missing <= 0:
            return self
        return Plan(
            trajectories=np.pad(self.trajectories, ((0, 0), (0, missing), (0, 0), (0, 0))),
            probabilities=np.pad(self.probabilities, ((0, 0), (0, missing))),
            forecast=self.forecast,
        )


@attrs.frozen(kw_only=True, eq=False)
class Truth:
    """What the recorded driver did."""

    trajectory: Floats
    """(B, T, 3) x, y, heading, ego frame."""
    valid: Mask
    """(B, T) whether the step is known and may be judged."""


def displacement_errors(plan: Plan, truth: Truth) -> dict[str, Floats]:
    """Return the errors of every row by name: `ade_top1_m`, `fde_top1_m`, `miss_top1`, and the same with `top6`.

    ADE is the mean distance over the valid steps, FDE the distance at the last step, both least over the modes; a miss is
    an FDE above `MISS_DISTANCE_M` (arXiv 2404.14327, section IV; nuPlan v1.1 metrics). Rows without a valid step have ADE
    NaN, rows without a valid last step have FDE and miss NaN; `mean` leaves them out.

    A plan with a forecast has the errors of `forecast_errors` as well.
    """
    errors: dict[str, Floats] = {}
    for count in (1, 6):
        best = plan.top(count)
        gap = best.trajectories[..., :2].astype(np.float64) - truth.trajectory[:, None, :, :2]
        distance = np.hypot(gap[..., 0], gap[..., 1])
        absent = best.probabilities <= 0
        absent[:, 0] = False
        steps = truth.valid.sum(axis=1)
        ade = np.where(truth.valid[:, None], distance, 0.0).sum(axis=2) / np.maximum(steps, 1)[:, None]
        ade = np.where(absent, np.inf, ade).min(axis=1)
        fde = np.where(absent, np.inf, distance[..., -1]).min(axis=1)
        known = truth.valid[:, -1]
        errors[f"ade_top{count}_m"] = np.where(steps > 0, ade, np.nan)
        errors[f"fde_top{count}_m"] = np.where(known, fde, np.nan)
        errors[f"miss_top{count}"] = np.where(known, (fde > MISS_DISTANCE_M).astype(np.float64), np.nan)
    return errors if plan.forecast is None else errors | forecast_errors(plan.forecast)


def forecast_errors(forecast: Forecast) -> dict[str, Floats]:
    """Return the errors of every row by name, and of how many agents each is the mean.

    `prediction_ade_m` is the mean distance of an agent over its known steps, averaged over the `prediction_ade_agents` that
    have one; `prediction_fde_m` the distance at the last step, averaged over the `prediction_fde_agents` for which it is
    known; NaN where there is no agent. `mean` weighs rows by their agents, so that it is the mean over all agents.
    """
    gap = forecast.trajectories[..., :2].astype(np.float64) - forecast.recorded[..., :2]
    distance = np.where(forecast.known, np.hypot(gap[..., 0], gap[..., 1]), 0.0)
    steps = forecast.known.sum(axis=2)
    sums = {
        "ade": (distance.sum(axis=2) / np.maximum(steps, 1), steps > 0),
        "fde": (distance[..., -1], forecast.known[..., -1]),
    }
    errors: dict[str, Floats] = {}
    for name, (error, counts) in sums.items():
        agents = counts.sum(axis=1)
        errors[f"prediction_{name}_m"] = np.where(agents > 0, (error * counts).sum(axis=1) / np.maximum(agents, 1), np.nan)
        errors[f"prediction_{name}_agents"] = agents.astype(np.float64)
    return errors


def mean(errors: Mapping[str, Floats]) -> dict[str, float | None]:
    """Return the mean of every error over the rows that have one; None where none has.

    Numbers of agents are summed, and what is a mean over agents in every row is one over all agents.
    """
    means: dict[str, float | None] = {}
    for name, values in errors.items():
        shares = weights(errors, name)
        if name.endswith(_AGENTS):
            means[name] = float(values.sum())
        else:
            known = shares > 0
            means[name] = float(np.average(values[known], weights=shares[known])) if known.any() else None
    return means


def weights(errors: Mapping[str, Floats], name: str) -> Floats:
    """Return how much each row counts in the mean of an error: its number of agents, or one; nothing where it has none."""
    values = errors[name]
    agents = errors.get(f"{name.removesuffix('_m')}{_AGENTS}")
    shares = np.ones(len(values)) if agents is None else agents
    return np.where(np.isfinite(values), shares, 0.0)


def by_group(errors: Mapping[str, Floats], groups: list[str]) -> dict[str, dict[str, float | None]]:
    """Return the means of the rows of each group (scenario type, log), with their number as `count`."""
    labels = np.asarray(groups)
    table: dict[str, dict[str, float | None]] = {}
    for group in sorted(set(groups)):
        rows = labels == group
        table[group] = {"count": float(rows.sum()), **mean({name: values[rows] for name, values in errors.items()})}
    return table


def constant_velocity(speed_mps: Floats, steps: int, interval_s: float) -> Plan:
    """Return the plan that keeps heading and speed.

    Args:
        speed_mps: (B,) longitudinal speed of the rear axle at time zero.
        steps: T.
        interval_s: Time between steps.
    """
    return constant_acceleration(speed_mps, np.zeros_like(speed_mps), steps, interval_s)


def constant_acceleration(speed_mps: Floats, acceleration_mps2: Floats, steps: int, interval_s: float) -> Plan:
    """Return the plan that keeps heading and acceleration; a car that stops stays (no reversing).

    Args:
        speed_mps: (B,) longitudinal speed at time zero.
        acceleration_mps2: (B,) longitudinal acceleration at time zero.
        steps: T.
        interval_s: Time between steps.
    """
    time_s = (np.arange(steps) + 1.0) * interval_s
    speed, acceleration = speed_mps[:, None], acceleration_mps2[:, None]
    braking = acceleration < 0
    with np.errstate(over="ignore"):  # whoever brakes by next to nothing stops after more seconds than a float holds: infinity
        stop_s = np.where(braking, np.maximum(speed, 0.0) / np.where(braking, -acceleration, 1.0), np.inf)
    held = np.minimum(time_s, stop_s)
    travelled = speed * held + 0.5 * acceleration * held**2
    trajectories = np.zeros((len(speed_mps), 1, steps, 3))
    trajectories[:, 0, :, 0] = travelled
    return Plan(trajectories=trajectories, probabilities=np.ones((len(speed_mps), 1)))
