"""What the basic components take."""

from typing import Literal

import attrs

from pluto_core import PlutoError, setting


@attrs.frozen(kw_only=True)
class FilesConfig:
    """Shards as folders with one file a value."""


@attrs.frozen(kw_only=True)
class MemoryConfig:
    """Shards in the memory of this process: no cache on disk."""


@attrs.frozen(kw_only=True)
class ByLogConfig:
    """Fractions of logs, drawn by a hash of their names. What the fractions leave belongs to no part."""

    train: float = setting(0.8, "Share of logs to train on.", minimum=0, maximum=1)
    val: float = setting(0.1, "Share of logs to validate on.", minimum=0, maximum=1)
    test: float = setting(0.1, "Share of logs to test on.", minimum=0, maximum=1)
    salt: str = setting("", "Any text; another one gives another division.")

    def __attrs_post_init__(self) -> None:
        """Refuse fractions that overlap."""
        total = self.train + self.val + self.test
        if total > 1 + 1e-9:
            message = f"splitter by_log: train + val + test is {total:g}; it cannot exceed 1"
            raise PlutoError(message)


@attrs.frozen(kw_only=True)
class ByTokenListConfig:
    """Parts as files of tokens: a JSON list, or a token a line (also the CSV of `pluto scenarios`)."""

    train: str | None = setting(None, "File of the tokens to train on.")
    val: str | None = setting(None, "File of the tokens to validate on.")
    test: str | None = setting(None, "File of the tokens to test on.")
    expect_hash: str | None = setting(
        None, "Hash that the lists must have, as it is told when they are read (its beginning is enough); others are refused."
    )


@attrs.frozen(kw_only=True)
class OnePartConfig:
    """Every scenario in one part, to evaluate on all that the filter takes."""

    part: Literal["train", "val", "test"] = setting("test", "The part that holds every scenario.")


@attrs.frozen(kw_only=True)
class EgoTrajectoryConfig:
    """Future poses of the ego vehicle."""

    horizon_s: float = setting(8.0, "How far to look ahead, seconds.", above=0)
    interval_s: float = setting(0.1, "Time between poses, seconds.", above=0)

    def __attrs_post_init__(self) -> None:
        """Refuse a horizon that is no whole number of intervals."""
        steps = self.horizon_s / self.interval_s
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:  # noqa: PLR2004 -- rounding of decimal fractions
            message = (
                f"target ego_trajectory: horizon_s = {self.horizon_s:g} is no multiple of interval_s = {self.interval_s:g}"
            )
            raise PlutoError(message)

    @property
    def steps(self) -> int:
        """Return the number of poses."""
        return round(self.horizon_s / self.interval_s)


@attrs.frozen(kw_only=True)
class EgoHistoryConfig:
    """Past and present states of the ego vehicle."""

    history_s: float = setting(2.0, "How far to look back, seconds; 0: the present state alone.", minimum=0)
    interval_s: float = setting(0.1, "Time between states, seconds.", above=0)

    def __attrs_post_init__(self) -> None:
        """Refuse a history that is no whole number of intervals."""
        if abs(self.history_s / self.interval_s - (self.steps - 1)) > 1e-6:  # noqa: PLR2004 -- rounding of decimal fractions
            message = f"features ego_history: history_s = {self.history_s:g} is no multiple of interval_s = {self.interval_s:g}"
            raise PlutoError(message)

    @property
    def steps(self) -> int:
        """Return the number of states, the present one included."""
        return round(self.history_s / self.interval_s) + 1


@attrs.frozen(kw_only=True)
class SequentialConfig:
    """One session in this process."""


@attrs.frozen(kw_only=True)
class ThreadsConfig:
    """Sessions in threads of this process."""

    count: int = setting(0, "How many threads; 0: one for each core that may be used.", minimum=0)


@attrs.frozen(kw_only=True)
class ProcessesConfig:
    """Sessions in processes of this machine. A scenario at which a process is lost is tried once more, in another one."""

    count: int = setting(0, "How many processes; 0: one for each core that may be used.", minimum=0)
    timeout_s: float | None = setting(
        None, "Kill a process whose scenario takes longer than this, seconds; unset: wait for ever.", above=0
    )
    memory_mb: float | None = setting(
        None,
        "Memory for one process: one that holds more after a scenario seals what it wrote and is replaced, one that holds "
        "twice as much is killed; unset: any amount.",
        above=0,
    )
    max_units: int | None = setting(None, "Replace a process after so many scenarios; unset: never.", minimum=1)
