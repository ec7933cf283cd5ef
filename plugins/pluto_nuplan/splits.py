"""The splitter `nuplan_logs`: nuPlan's official lists of training, validation and test logs."""

import gzip
from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from pluto_core.component import Context
from pluto_core.listing import Listing
from pluto_core.protocols import Rows
from pluto_nuplan.config import NuPlanLogsConfig

PARTS = ("train", "val", "test")


def official_logs() -> Mapping[str, tuple[str, ...]]:
    """Return the names of the logs of each part, in ascending order."""
    packed = files("pluto_nuplan").joinpath("facts/log_splits.txt.gz").read_bytes()
    parts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in gzip.decompress(packed).decode("ascii").splitlines():
        if line.startswith("["):
            names = parts.setdefault(line.strip("[]"), [])
        else:
            names.append(line)
    return {part: tuple(logs) for part, logs in parts.items()}


class NuPlanLogs:
    """Divides scenarios by their log; logs that no list names belong to no part."""

    def __init__(self) -> None:
        """Read the lists."""
        self._part_of = {log: place for place, part in enumerate(PARTS) for log in official_logs()[part]}

    def split(self, listing: Listing) -> Mapping[str, Rows]:
        """Return ascending row numbers for `train`, `val` and `test`."""
        part_of_log = np.asarray([self._part_of.get(log, -1) for log in listing.logs.values], np.int64)
        part = part_of_log[listing.logs.codes] if len(listing) else np.zeros(0, np.int64)
        return {name: np.flatnonzero(part == place).astype(np.int64) for place, name in enumerate(PARTS)}


def make(config: NuPlanLogsConfig, context: Context) -> NuPlanLogs:  # noqa: ARG001 -- every factory is called alike
    """Return the splitter that `[splitter] use = "nuplan_logs"` asks for."""
    return NuPlanLogs()
