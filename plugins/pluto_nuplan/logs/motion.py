"""How the ego vehicle moves in scenarios: the columns behind nuPlan's displacement and speed filters."""

from collections.abc import Iterator

import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.scene import Floats, Ints, Mask, Vehicle
from pluto_nuplan.logs.columns import Frames
from pluto_nuplan.logs.extraction import Iterations
from pluto_nuplan.logs.windows import ROW_INTERVAL_S, sample_indices

_CHUNK = 4096
"""Scenarios computed at a time."""
_US_TO_S = 1e-6


def displacements(frames: Frames, spans: Iterations, vehicle: Vehicle) -> Floats:
    """Return the (n,) distance that the centre of the ego vehicle drives between the sampled states, m.

    States are sampled from iteration 0 over the scenario's duration; iteration 0 itself is not among them (nuPlan v1.1).
    """
    heading = frames.pose[:, 2]
    with np.errstate(invalid="ignore"):
        forward = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        center = frames.pose[:, :2] + vehicle.center_from_rear_axle_m * forward
    driven = np.zeros(len(spans.first))
    for rows, states, known in _sampled(frames, spans):
        with np.errstate(invalid="ignore"):
            steps = np.linalg.norm(np.diff(center[states], axis=1), axis=2)
        driven[rows] = np.where(known[:, 1:], steps, 0.0).sum(axis=1)
    return driven


def crossings(frames: Frames, spans: Iterations, threshold_mps: float, tolerance_mps: float, *, rising: bool) -> Mask:
    """Return which scenarios' speed rises above (or falls to) a threshold.

    A scan with hysteresis (nuPlan v1.1): a rise counts when speed passes from at most the threshold to above it, and from the
    last low to the new high by more than the tolerance; a fall likewise. Speed is that of the rear axle.
    """
    speed = np.hypot(frames.velocity[:, 0], frames.velocity[:, 1])
    crossed = np.zeros(len(spans.first), np.bool_)
    for rows, states, known in _sampled(frames, spans):
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


def _sampled(frames: Frames, spans: Iterations) -> Iterator[tuple[Ints, Ints, Mask]]:
    """Yield rows, their sampled states as (rows, states) frame numbers, and which of those are in the log.

    Raises:
        PlutoError: A scenario has one iteration, so that there is nothing to sample.
    """
    times = frames.time_us
    last = spans.first + (spans.count - 1) * spans.stride
    durations_us = np.trunc((times[last] * _US_TO_S - times[spans.first] * _US_TO_S) * 1e6).astype(np.int64)
    if len(durations_us) and (durations_us * _US_TO_S < ROW_INTERVAL_S).any():
        message = "filters of ego motion need scenarios of more than one step; set filter.expand_scenarios = false"
        raise PlutoError(message)
    kinds, kind = np.unique(np.stack([durations_us, spans.ratio]), axis=1, return_inverse=True)
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, (duration_us, ratio) in enumerate(kinds.T):
        ranks = sample_indices(None, int(duration_us) * _US_TO_S, ROW_INTERVAL_S / ratio)
        groups.setdefault((int(ranks[0]), len(ranks)), []).append(place)
    for (step, count), places in groups.items():
        members = np.flatnonzero(np.isin(kind.ravel(), places))
        for start in range(0, len(members), _CHUNK):
            rows = members[start : start + _CHUNK]
            states = spans.first[rows, None] + step * np.arange(1, count + 1)
            known = states < len(frames)
            yield rows, np.minimum(states, len(frames) - 1), known
