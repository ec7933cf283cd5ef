"""How the ego vehicle moves in scenarios: the columns behind nuPlan's displacement and speed filters."""

from collections.abc import Iterator

import numpy as np

from pluto_core.scene import Floats, Ints, Mask, Vehicle
from pluto_nuplan.logs.extraction import Iterations
from pluto_nuplan.logs.log import Log
from pluto_nuplan.logs.windows import ROW_INTERVAL_S, sample_indices

_CHUNK = 4096
"""Scenarios computed at a time."""
_US_TO_S = 1e-6


def displacements(log: Log, spans: Iterations, vehicle: Vehicle) -> Floats:
    """Return the (n,) distance that the centre of the ego vehicle drives between the sampled states, m.

    States are sampled from iteration 0 over the scenario's duration; iteration 0 itself is not among them (nuPlan v1.1).
    """
    pose = log.ego.pose
    with np.errstate(invalid="ignore"):
        forward = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)
        center = pose[:, :2] + vehicle.center_from_rear_axle_m * forward
    driven = np.zeros(len(spans.first))
    for rows, states, known in _sampled(log.index.frames.time_us, spans):
        with np.errstate(invalid="ignore"):
            steps = np.linalg.norm(np.diff(center[states], axis=1), axis=2)
        driven[rows] = np.where(known[:, 1:], steps, 0.0).sum(axis=1)
    return driven


def crossings(log: Log, spans: Iterations, threshold_mps: float, tolerance_mps: float, *, rising: bool) -> Mask:
    """Return which scenarios' speed rises above (or falls to) a threshold.

    A scan with hysteresis (nuPlan v1.1): a rise counts when speed passes from at most the threshold to above it, and from the
    last low to the new high by more than the tolerance; a fall likewise. Speed is that of the rear axle.
    """
    speed = np.hypot(*log.ego.velocity.T)
    crossed = np.zeros(len(spans.first), np.bool_)
    for rows, states, known in _sampled(log.index.frames.time_us, spans):
        rose, fell = _scan(np.where(known, speed[states], np.nan), threshold_mps, tolerance_mps)
        crossed[rows] = rose if rising else fell
    return crossed


def _scan(speed: Floats, threshold: float, tolerance: float) -> tuple[Mask, Mask]:
    """Return which rows of (n, s) speeds rise and which fall through the threshold; NaN stands for no state."""
    high, low = speed[:, 0].copy(), speed[:, 0].copy()
    rose, fell = np.zeros(len(speed), np.bool_), np.zeros(len(speed), np.bool_)
    for value in speed.T:
        above = value > high
        high[above] = value[above]
        crossed = above & (high > threshold) & (low <= threshold) & (high - low > tolerance)
        rose |= crossed
        low[crossed] = high[crossed]
        below = value < low
        low[below] = value[below]
        crossed = below & (high > threshold) & (low <= threshold) & (high - low > tolerance)
        fell |= crossed
        high[crossed] = low[crossed]
    return rose, fell


def _ranks(horizon_s: float, interval_s: float) -> Ints:
    return sample_indices(None, horizon_s, interval_s) if horizon_s >= interval_s else np.zeros(0, np.int64)


def _sampled(times_us: Ints, spans: Iterations) -> Iterator[tuple[Ints, Ints, Mask]]:
    """Yield rows, their sampled states as (rows, states) frame numbers, and which of those are in the scenario and the log.

    Scenarios that are too short to hold a state (cut off at the end of their log) are left out.
    """
    last = spans.first + (spans.count - 1) * spans.stride
    durations_us = np.trunc((times_us[last] * _US_TO_S - times_us[spans.first] * _US_TO_S) * 1e6)
    kinds, kind = np.unique(np.stack([durations_us, spans.ratio]), axis=1, return_inverse=True)
    ranks = [_ranks(duration_us * _US_TO_S, ROW_INTERVAL_S / ratio) for duration_us, ratio in kinds.T]
    step = np.asarray([indices[0] if len(indices) else 0 for indices in ranks], np.int64)[kind.ravel()]
    count = np.asarray([len(indices) for indices in ranks], np.int64)[kind.ravel()]
    for different in np.unique(step[step > 0]):
        members = np.flatnonzero(step == different)
        for start in range(0, len(members), _CHUNK):
            rows = members[start : start + _CHUNK]
            ordinal = np.arange(1, count[rows].max() + 1)
            states = spans.first[rows, None] + different * ordinal
            known = (ordinal <= count[rows, None]) & (states < len(times_us))
            yield rows, np.minimum(states, len(times_us) - 1), known
