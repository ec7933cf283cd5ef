"""Small real parts: they need no data, keep every promise of their kind, and pass its suite (see also `fake_samples`)."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Batch, Identity
from pluto_core.listing import Listing
from pluto_core.protocols import Job, Rows
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_core.testing.config import FakeSourceConfig, NothingConfig
from pluto_core.testing.scenes import START_US, make_scene

_SECOND_US = 1_000_000
_TYPES = ("straight", "crossing")


def make_source(config: FakeSourceConfig, _context: Context) -> "FakeSource":
    """Return the source `fake`."""
    return FakeSource(config)


def make_store(_config: NothingConfig, _context: Context) -> "DictCache":
    """Return the store `fake`."""
    return DictCache()


def make_splitter(_config: NothingConfig, _context: Context) -> "NameSplitter":
    """Return the splitter `fake`."""
    return NameSplitter()


def make_worker(_config: NothingConfig, _context: Context) -> "InlineWorker":
    """Return the worker `fake`."""
    return InlineWorker()


@attrs.frozen
class FakeSource:
    """Logs of scenes from `make_scene`; every scenario is a scene of its own."""

    config: FakeSourceConfig = attrs.field(factory=FakeSourceConfig)
    answers: ClassVar[frozenset[str]] = frozenset({"log_names", "scenario_types", "scenario_tokens", "map_names"})

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the scenarios of all logs."""
        rows = [self._row(log, number) for log in range(self.config.logs) for number in range(self.config.scenarios)]
        return Listing.of([row for row in rows if _taken(row, wanted)])

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return no columns: no field that needs one is answered."""
        del listing, wanted
        if names:
            message = f"the source 'fake' cannot answer {', '.join(names)}"
            raise PlutoError(message)
        return {}

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return the scene of a scenario."""
        number, remainder = divmod(scenario.start_us - START_US, _SECOND_US)
        log = scenario.log.removeprefix("fake-")
        known = log.isdecimal() and remainder == 0 and 0 <= number < self.config.scenarios and int(log) < self.config.logs
        if not known or self._row(int(log), number)[0] != scenario:
            raise SampleError(Reason.PRESENT_MISSING, f"there is no scenario {scenario.key}")
        last_s = self.config.scenarios - 1 - number + self.config.after_s
        return make_scene(
            agents=self.config.agents,
            lanes=self.config.lanes,
            seed=int(log) * self.config.scenarios + number,
            window=window,
            recorded_s=(-number - self.config.before_s, last_s),
            scenario=scenario,
        )

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Yield the scene of each scenario, or its error."""
        for scenario in scenarios:
            try:
                yield self.load(scenario, window)
            except SampleError as error:
                yield error

    def identity(self) -> Identity:
        """Return the settings: they make all the scenes."""
        sizes = {f"fake-{log:02d}": self.config.scenarios for log in range(self.config.logs)}
        return Identity(reader="fake/1", settings=attrs.asdict(self.config), dataset=sizes)

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return nothing: no log can be broken."""
        return ()

    def _row(self, log: int, number: int) -> tuple[ScenarioId, str, str]:
        seed = log * self.config.scenarios + number
        scenario = ScenarioId(f"fake-{log:02d}", f"{log:08x}{number:08x}", START_US + number * _SECOND_US)
        return scenario, _TYPES[seed % 2], "made"


def _taken(row: tuple[ScenarioId, str, str], wanted: ScenarioFilter) -> bool:
    scenario, kind, town = row
    asked = (
        (wanted.log_names, scenario.log),
        (wanted.scenario_types, kind),
        (wanted.scenario_tokens, scenario.token),
        (wanted.map_names, town),
    )
    return all(names is None or name in names for names, name in asked)


class DictCache:
    """Keeps shards in dicts of this process."""

    shared = False
    suffix = ""

    def __init__(self) -> None:
        """Begin without shards."""
        self._shards: dict[Path, dict[bytes, bytes]] = {}

    def create(self, path: Path) -> "DictShard":
        """Return a new shard.

        Raises:
            FileExistsError: There is one.
        """
        if path in self._shards:
            raise FileExistsError(path)
        self._shards[path] = {}
        return DictShard(self._shards[path])

    def open(self, path: Path) -> "DictShard":
        """Return a shard.

        Raises:
            PlutoError: There is none.
        """
        if path not in self._shards:
            message = f"there is no shard {path} in this store"
            raise PlutoError(message)
        return DictShard(self._shards[path])


@attrs.frozen
class DictShard:
    """One dict, to write and to read."""

    values: dict[bytes, bytes]

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        self.values[key] = bytes(value)

    def seal(self) -> None:
        """Do nothing: a dict is as durable as it gets."""

    def keys(self) -> list[bytes]:
        """Return all keys, ascending."""
        return sorted(self.values)

    def get(self, key: bytes) -> bytes:
        """Return a value."""
        return self.values[key]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return values in the order of `keys`."""
        return [self.values[key] for key in keys]

    def close(self) -> None:
        """Do nothing."""


class NameSplitter:
    """Puts a log where the digest of its name says: half to train, a quarter to validate, a quarter to test."""

    _parts: ClassVar[tuple[str, ...]] = ("train", "train", "val", "test")

    def split(self, listing: Listing) -> dict[str, Rows]:
        """Return the rows of each part."""
        part_of_log = np.array([self._part(name) for name in listing.logs.values], dtype=object)
        part_of_row = part_of_log[listing.logs.codes] if len(listing) else np.zeros(0, object)
        return {part: np.flatnonzero(part_of_row == part) for part in ("train", "val", "test")}

    def _part(self, log: str) -> str:
        return self._parts[hashlib.blake2b(log.encode(), digest_size=1).digest()[0] % len(self._parts)]


@attrs.frozen
class InlineWorker:
    """Does everything where it is called."""

    count: int = attrs.field(default=1, init=False)
    processes: bool = attrs.field(default=False, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[tuple[int, int, Any]]:
        """Yield results one after another."""
        if not batches:
            return
        with job.open(0) as session:
            for number, batch in enumerate(batches):
                for unit, result in enumerate(session.run(batch)):
                    yield number, unit, result
