"""Settings of the nuPlan source and splitter."""

from collections.abc import Mapping
from typing import Literal

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class SyntheticConfig:
    """A synthetic town in nuPlan's own format, written once into the user's cache folder."""

    logs: int = setting(12, "Number of logs; about two thirds have names of the official train split.", minimum=3)
    seconds: float = setting(40.0, "Length of a log, seconds; the first and last ten give no scenario.", minimum=25)
    seed: int = setting(0, "Same seed, same town and traffic.", minimum=0)
    grid: tuple[int, int] = setting((3, 3), "Crossroads of the town, columns and rows.")
    density: float = setting(1.0, "Traffic, people and things, as a multiple of the usual.", above=0, maximum=4)


@attrs.frozen(kw_only=True)
class VehicleConfig:
    """Shape of the ego vehicle, where logs in nuPlan's format were driven with another one than nuPlan's."""

    width_m: float = setting(help="Width, metres.", above=0)
    front_length_m: float = setting(help="Rear axle to front bumper, metres.", above=0)
    rear_length_m: float = setting(help="Rear axle to rear bumper, metres.", above=0)
    wheel_base_m: float = setting(help="Rear axle to front axle, metres.", above=0)
    cog_from_rear_axle_m: float = setting(0.0, "Rear axle to centre of gravity, metres.", minimum=0)


@attrs.frozen(kw_only=True)
class NuPlanConfig:
    """nuPlan v1.1 logs (SQLite) and maps (GeoPackage). Sensors and cameras are not read."""

    data_root: str | tuple[str, ...] | None = setting(
        None,
        "Folder with .db files, or one that holds nuPlan's folders (nuplan-v1.1/splits/*, nuplan-v1.1/trainval, ...), or "
        "one file, or a list of such; here or behind a URL (s3://...). Needed unless there is a table `synthetic`.",
    )
    synthetic: SyntheticConfig | None = setting(None, "The dataset to make and read where `data_root` is not set.")
    split: str | tuple[str, ...] | None = setting(
        None, "Take only folders of this name (or of these); patterns such as `train*`. Where unset, all below `data_root`."
    )
    map_root: str | None = setting(
        None, "Folder or URL of the maps; where unset, the folder `maps` in `data_root` or beside it."
    )
    map_version: str = setting("nuplan-maps-v1.0", "Name of the maps' index file, without `.json`.")
    sampling: Literal["rows", "time"] = setting(
        "rows",
        "How steps of a window become frames: `rows` counts rows as nuPlan does (a lost frame stretches the window), `time` "
        "takes the frame at the step's time.",
    )
    subsample_ratio: float = setting(0.5, "Share of the frames that make a scenario's iterations.", above=0, maximum=1)
    scenario_mapping: Mapping[str, tuple[float, ...]] = setting(
        factory=dict,
        help="Cut of scenarios by type, as [duration in seconds, offset of the start from the token in seconds]; a third "
        "number is that type's subsample ratio. Types that are not given keep nuPlan's (15 s from 3 s before).",
    )
    vehicle: Literal["pacifica"] | VehicleConfig = setting(
        "pacifica", "Shape of the ego vehicle: nuPlan's car, or a table with the lengths of another one."
    )
    remote_cache_gb: float = setting(
        200.0, "How much of what lies behind URLs is kept in the user's cache folder, gigabytes; the latest used.", above=0
    )
    logs_in_memory: int = setting(2, "Logs whose boxes are kept in memory, per process.", minimum=1)


@attrs.frozen(kw_only=True)
class NuPlanLogsConfig:
    """Nothing to set: the lists are nuPlan's own."""
