"""What each component takes. Costs nothing to import: no numpy, no torch."""

import attrs

from pluto_core import setting


@attrs.frozen(kw_only=True)
class NeighborsConfig:
    """The features `neighbors`."""

    count: int = setting(8, "How many of the nearest agents to keep.", minimum=1)
    history_s: float = setting(1.0, "How far to look back, seconds.", minimum=0)
    interval_s: float = setting(0.1, "Time between two steps, seconds.", above=0)


@attrs.frozen(kw_only=True)
class SqliteConfig:
    """The cache `sqlite`."""

    page_bytes: int = setting(
        4096,
        "Size of a page; larger ones suit larger samples.",
        choices=(4096, 16384, 65536),
    )


@attrs.frozen(kw_only=True)
class PlannerConfig:
    """The model `neighbors`."""

    width: int = setting(64, "Width of hidden layers.", minimum=1)
    modes: int = setting(6, "How many trajectories to propose.", minimum=1)
    history_s: float = setting(1.0, "How far the features look back, seconds.", minimum=0)
    horizon_s: float = setting(8.0, "How far to plan, seconds.", above=0)
    interval_s: float = setting(0.1, "Time between two steps, seconds.", above=0)


@attrs.frozen(kw_only=True)
class ObjectiveConfig:
    """The objective `neighbors`."""

    mode_weight: float = setting(0.1, "Weight of choosing the right mode.", minimum=0)
