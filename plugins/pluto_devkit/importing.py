"""Gzip caches of nuplan-devkit for `pluto cache import`."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.geometry import wrap
from pluto_core.listing import Listing
from pluto_core.samples import Array, Sample
from pluto_core.scene import ScenarioId
from pluto_devkit import gzip_cache, trees
from pluto_devkit.config import ImportedConfig, ImporterConfig
from pluto_devkit.gzip_cache import Entry
from pluto_devkit.pickles import RefusedPickleError, allowed_classes

START_US = 0
"""Time zero of imported scenarios: the devkit's cache does not hold it."""


class GzipImporter:
    """Knows gzip caches of nuplan-devkit."""

    def __init__(self, config: ImporterConfig, note: Callable[[str], None]) -> None:
        """Keep the settings."""
        self._config, self._note = config, note

    def open(self, path: Path) -> "GzipCache | None":
        """Return the cache in a folder; None: it is no such cache.

        Raises:
            PlutoError: A class that shall be allowed is none, or no scenario has all the features asked for.
        """
        if not gzip_cache.is_cache(path):
            return None
        try:
            allowed_classes(self._config.allow)
        except (RefusedPickleError, ImportError) as error:
            raise PlutoError(f"allow: {error}") from None
        found = dict(gzip_cache.scan(path))
        counts = Counter(name for names in found.values() for name in names)
        wanted = frozenset(self._config.names) or frozenset(counts)
        entries = tuple(entry for entry, names in found.items() if wanted <= names)
        if not entries:
            have = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
            raise PlutoError(f"no scenario of {path} has all of {', '.join(sorted(wanted))} (there are: {have}); set names")
        if len(entries) < len(found):
            self._note(f"{len(found) - len(entries):,} scenarios lack one of {', '.join(sorted(wanted))} and are left out")
        cache = GzipCache(path, entries, tuple(sorted(wanted)), self._config, ImportedConfig(name=self._config.name))
        return attrs.evolve(cache, config=attrs.evolve(cache.config, **self._truth(cache)))

    def _truth(self, cache: "GzipCache") -> dict[str, Any]:
        """Return what the first readable trajectory says about the truth."""
        if self._config.truth not in cache.names:
            return {}
        for entry in cache.entries:
            try:
                poses = cache.poses(entry)
            except SampleError:
                continue
            return {"truth_steps": len(poses), "truth_interval_s": self._config.truth_interval_s}
        return {}


@attrs.frozen(kw_only=False, eq=False)
class GzipCache:
    """One gzip cache; keeps no file open."""

    root: Path
    entries: tuple[Entry, ...]
    names: tuple[str, ...]
    """Features and targets that are taken."""
    settings: ImporterConfig
    config: ImportedConfig
    use: str = "devkit_imported"

    def list(self) -> Listing:
        """Return its scenarios; a token that is there with two types is taken once, with the first."""
        rows = {(entry.log, entry.token): entry.scenario_type for entry in reversed(self.entries)}
        ordered = [(ScenarioId(log, token, START_US), kind, "unknown") for (log, token), kind in sorted(rows.items())]
        return Listing.of(ordered)

    def read(self, scenario: ScenarioId) -> Sample:
        """Return the features of one scenario as arrays.

        Raises:
            SampleError: A file is damaged, its pickle is refused, or it holds what cannot be stored.
        """
        entry = self._entry(scenario)
        allowed = allowed_classes(self.settings.allow)
        tree = {name: _as_plain(gzip_cache.read(self.root, entry, name, allowed)) for name in self.names}
        sample = trees.encode(self.config.name, {"scenario_type": entry.scenario_type, "features": tree})
        if self.config.truth_steps:
            sample |= self._truth(_poses(tree[str(self.settings.truth)]))
        return sample

    def poses(self, entry: Entry) -> Array:
        """Return the (T, 3) future poses of one scenario."""
        return _poses(
            _as_plain(gzip_cache.read(self.root, entry, str(self.settings.truth), allowed_classes(self.settings.allow)))
        )

    def _entry(self, scenario: ScenarioId) -> Entry:
        folder = self.root / scenario.log
        kinds = sorted(kind.name for kind in folder.iterdir() if (kind / scenario.token).is_dir())
        if not kinds:
            raise SampleError(Reason.DAMAGED_VALUE, f"{folder} no longer holds {scenario.token}")
        return Entry(scenario.log, kinds[0], scenario.token)

    def _truth(self, poses: Array) -> Sample:
        steps, interval_s = self.config.truth_steps, self.config.truth_interval_s
        if len(poses) != steps:
            raise SampleError(
                Reason.SPEC_MISMATCH, f"the trajectory has {len(poses)} poses, the first one of the cache {steps}"
            )
        trajectory = np.column_stack([poses[:, :2], wrap(poses[:, 2])])
        ahead = np.vstack([np.zeros(2), poses[:2, :2]])
        speeds = np.linalg.norm(np.diff(ahead, axis=0), axis=1) / interval_s
        change = np.diff(speeds) / interval_s
        return {
            "truth/trajectory": trajectory.astype(np.float32),
            "truth/valid": np.ones(steps, np.bool_),
            "truth/speed": np.asarray(speeds[0], np.float32),
            "truth/acceleration": np.asarray(change[0] if len(change) else 0.0, np.float32),
        }


def _poses(serialized: Any) -> Array:
    """Return the (T, 3) poses of a serialised trajectory."""
    data = np.asarray(
        serialized["data"] if isinstance(serialized, Mapping) and "data" in serialized else np.zeros(0), np.float64
    )
    if data.ndim != 2 or data.shape[1] != 3 or not len(data):  # noqa: PLR2004 -- x, y, heading
        raise SampleError(Reason.SPEC_MISMATCH, f"the trajectory is no array of poses, but of shape {data.shape}")
    return data


def _as_plain(value: Any) -> Any:
    """Return a value with instances of allowed classes as dicts of their attributes, as the devkit serialises features."""
    if isinstance(value, Mapping):
        return {key: _as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_as_plain, value))
    return _as_plain(vars(value)) if hasattr(value, "__dict__") else value


def make(config: ImporterConfig, context: Context) -> GzipImporter:
    """Return what `pluto cache import` asks."""
    return GzipImporter(config, context.note)
