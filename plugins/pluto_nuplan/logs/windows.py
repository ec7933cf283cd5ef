"""Which frames make a window: by counting rows, as nuPlan does, or by time."""

from typing import Literal

import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.scene import Ints, Window

Sampling = Literal["rows", "time"]

ROW_INTERVAL_S = 0.05
"""Nominal time between two frames: 20 Hz."""
_TIME_TOLERANCE_US = 30_000
"""How far from its nominal time a frame may be, when sampling by time: half a row and some jitter."""


def sample_indices(count: int | None, horizon_s: float, interval_s: float = ROW_INTERVAL_S) -> Ints:
    """Return the ranks of the rows that nuPlan samples over a horizon, counted from the anchor (rank 0, never included).

    `K = int(horizon / 0.05) + 1` in doubles, `step = K // count`, ranks `step, 2 step, ...` (nuPlan v1.1). The loss of a row
    against exact arithmetic (0.3 s gives K = 6) is nuPlan's.

    Args:
        count: Number of samples; None: `int(horizon_s / interval_s)`.
        horizon_s: Length of the horizon, seconds.
        interval_s: Interval of the scenario, which counts only where `count` is None.

    Raises:
        PlutoError: The horizon holds no row, or fewer than `count`.
    """
    if horizon_s < ROW_INTERVAL_S:
        raise PlutoError(f"a horizon of {horizon_s} s holds no row; it must be at least {ROW_INTERVAL_S} s")
    rows = int(horizon_s / ROW_INTERVAL_S) + 1
    wanted = int(horizon_s / interval_s) if count is None else count
    step = rows // wanted if wanted > 0 else 0
    if step == 0:
        raise PlutoError(f"a horizon of {horizon_s} s holds {rows} rows, {wanted} were asked for")
    return step * np.arange(1, wanted + 1)


def row_offsets(window: Window) -> Ints:
    """Return the (T,) ranks of a window's steps relative to the present frame.

    Raises:
        PlutoError: The interval is no multiple of 0.05 s.
    """
    step = round(window.interval_s / ROW_INTERVAL_S)
    if step < 1 or abs(step * ROW_INTERVAL_S - window.interval_s) > 1e-6:  # noqa: PLR2004 -- rounding of decimal settings
        message = (
            f"rows of nuPlan logs are {ROW_INTERVAL_S} s apart, an interval of {window.interval_s} s is no multiple of that"
        )
        raise PlutoError(message + '; set source.sampling = "time"')
    return step * np.arange(-window.history_steps, window.future_steps + 1)


def frames_of(times_us: Ints, present: int, window: Window, sampling: Sampling) -> Ints:
    """Return the (T,) frame numbers of a window's steps, -1 where the log has no such frame.

    Args:
        times_us: (F,) times of the log's frames.
        present: Frame at time zero.
        window: Steps to find.
        sampling: `rows`: count rows (a lost frame stretches the window, as in nuPlan); `time`: the frame at the nominal time.
    """
    if sampling == "rows":
        frames = present + row_offsets(window)
        return np.where((frames >= 0) & (frames < len(times_us)), frames, -1)
    targets = times_us[present] + _nominal_offsets_us(window)
    after = np.clip(np.searchsorted(times_us, targets), 1, max(len(times_us) - 1, 1))
    after = np.minimum(after, len(times_us) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(targets - times_us[before] <= times_us[after] - targets, before, after)
    near = np.abs(times_us[nearest] - targets) <= _TIME_TOLERANCE_US
    return np.where(near, nearest, -1)


def step_times_us(times_us: Ints, frames: Ints, window: Window) -> Ints:
    """Return the (T,) times of a window's steps: recorded ones, and nominal ones where there is no frame."""
    found = np.flatnonzero(frames >= 0)
    offsets = _nominal_offsets_us(window)
    times = times_us[frames[window.history_steps]] + offsets
    times[found] = times_us[frames[found]]
    first, last = found[0], found[-1]
    times[:first] = times[first] + offsets[:first] - offsets[first]
    times[last + 1 :] = times[last] + offsets[last + 1 :] - offsets[last]
    return np.asarray(times)


def _nominal_offsets_us(window: Window) -> Ints:
    steps = np.arange(-window.history_steps, window.future_steps + 1)
    return np.asarray(np.rint(steps * (window.interval_s * 1e6)), np.int64)
