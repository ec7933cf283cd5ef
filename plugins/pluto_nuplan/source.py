"""The source `nuplan`: nuPlan's logs and maps as scenarios."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.maps import MapView
from pluto_core.places import cache_home as default_home
from pluto_core.places.copies import Copies
from pluto_core.places.remote import Place
from pluto_core.scene import PACIFICA, ScenarioId, Scene, Vehicle, Window
from pluto_nuplan.config import NuPlanConfig, SyntheticConfig, VehicleConfig
from pluto_nuplan.logs import listing, questions, scenes
from pluto_nuplan.logs.database import NO_TOKEN, token_words
from pluto_nuplan.logs.extraction import ScenarioMapping
from pluto_nuplan.logs.files import file_states, find_logs, find_map_root
from pluto_nuplan.logs.log import Index, Log, read_index
from pluto_nuplan.maps import find_map, open_map
from pluto_nuplan.synth.dataset import DatasetSummary, ensure_dataset

READER = "nuplan/1"
_INDEXED_FRAMES = 500_000
"""Frames whose index is kept, over all logs (about 60 MB)."""


class NuPlanSource:
    """Scenarios of nuPlan logs. Pickled, it takes along where the logs are and nothing that was read."""

    answers = frozenset(
        {"log_names", "scenario_types", "scenario_tokens", "map_names", "remove_invalid_goals", "expand_scenarios"}
    ) | frozenset(questions.NAMES)

    def __init__(self, config: NuPlanConfig, *, cache_home: Path | None = None) -> None:
        """Find logs and maps; nothing of them is read yet.

        Raises:
            PlutoError: A folder is missing or holds nothing, or the settings contradict each other.
        """
        self._config = config
        self._cache_home = cache_home
        self._mapping = ScenarioMapping.of(config.subsample_ratio, config.scenario_mapping)
        given = config.vehicle
        self._vehicle = Vehicle(**attrs.asdict(given)) if isinstance(given, VehicleConfig) else PACIFICA
        data_root = config.data_root or ()
        copies = Copies((cache_home or default_home()) / "remote", round(config.remote_cache_gb * 1e9))
        self._paths = find_logs(data_root, config.split, copies)
        self._map_root = find_map_root(config.map_root, data_root, config.map_version, copies)
        self._forget()

    def _forget(self) -> None:
        self._indices: OrderedDict[str, Index] = OrderedDict()
        self._refused: dict[str, SampleError] = {}
        self._logs: OrderedDict[str, Log] = OrderedDict()
        self._indexed_frames = 0
        self._maps: dict[str, MapView] = {}
        self._states: dict[str, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return settings and paths."""
        kept = ("_config", "_cache_home", "_mapping", "_vehicle", "_paths", "_map_root")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take settings and paths; files are opened anew."""
        self.__dict__.update(state)
        self._forget()

    def logs(self) -> Sequence[str]:
        """Return the names of all logs, in the order in which `list` reads them."""
        return tuple(self._paths)

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the candidates, by log and then by time.

        Raises:
            PlutoError: No log could be read, or none of the scenarios' maps is there.
        """
        mapping = None if wanted.expand_scenarios else self._mapping
        tokens = None if wanted.scenario_tokens is None else np.unique(token_words(wanted.scenario_tokens))
        if tokens is not None:
            tokens = tokens[tokens != NO_TOKEN]
        names = [name for name in self._paths if wanted.log_names is None or name in set(wanted.log_names)]
        parts, refused = [], []
        for name in names:
            try:
                parts.append(listing.scenarios(name, self._index(name), wanted, tokens, mapping))
            except SampleError as error:
                refused.append(error)
        if refused and not parts:
            more = f" (and {len(refused) - 1} more logs)" if len(refused) > 1 else ""
            raise PlutoError(f"source.data_root: no log can be read: {self._paths[names[0]]}: {refused[0].detail}{more}")
        found = Listing.concatenated(parts)
        self._require_maps(found)
        return found

    def _require_maps(self, found: Listing) -> None:
        missing = []
        for name in found.maps.values:
            try:
                find_map(self._map_root, name, map_version=self._config.map_version)
            except SampleError as error:
                missing.append(error)
        if missing and len(missing) == len(found.maps.values):
            raise PlutoError(f"source.map_root: {missing[0].detail}")

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return one column of answers for each filter field in `names`.

        Raises:
            PlutoError: A field contradicts another one of the filter, or its file cannot be read.
        """
        question = questions.Question.of(names, wanted, None if wanted.expand_scenarios else self._mapping, self._vehicle)
        columns = {name: np.zeros(len(listing), questions.dtype(name)) for name in names}
        for code, log in enumerate(listing.logs.values):
            rows = np.flatnonzero(listing.logs.codes == code)
            try:
                found = self._answers(log, listing.take(rows), question) if len(rows) else {}
            except SampleError as error:
                self._refused[log] = error
                found = {name: np.full(len(rows), questions.refusal(name)) for name in names}
            for name, column in found.items():
                columns[name][rows] = column
        return columns

    def _answers(self, log: str, rows: Listing, question: questions.Question) -> Mapping[str, npt.NDArray[Any]]:
        opened = self._log(log)
        return question.ask(opened, rows, self._map(opened.index.map_name) if question.needs_map else None)

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return one scene.

        Raises:
            SampleError: The scenario cannot be read; with its reason.
        """
        log = self._log(scenario.log)
        return self._assemble(log, scenes.locate(log.index, scenario, window, self._config.sampling), window)

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Yield the scenes of scenarios of one log, in order; in place of one that cannot be read, its error."""
        spans: list[scenes.Span | SampleError] = []
        for scenario in scenarios:
            try:
                spans.append(scenes.locate(self._log(scenario.log).index, scenario, window, self._config.sampling))
            except SampleError as error:
                spans.append(error)
        located = [span for span in spans if isinstance(span, scenes.Span)]
        if located:
            frames = np.unique(np.concatenate([span.recorded for span in located]))
            try:
                self._log(located[0].id.log).hold(frames)
            except SampleError as error:
                spans = [error if isinstance(span, scenes.Span) else span for span in spans]
        for span in spans:
            yield span if isinstance(span, SampleError) else self._scene_or_error(span, window)

    def _scene_or_error(self, span: scenes.Span, window: Window) -> Scene | SampleError:
        try:
            return self._assemble(self._log(span.id.log), span, window)
        except SampleError as error:
            return error

    def _assemble(self, log: Log, span: scenes.Span, window: Window) -> Scene:
        return scenes.assemble(log, span, window, self._map(log.index.map_name), self._vehicle)

    def identity(self) -> Identity:
        """Return what the source is: its reader, what of the settings changes scenes, the state of logs and maps."""
        config = self._config
        settings = {name: getattr(config, name) for name in ("sampling", "map_version", "vehicle", "subsample_ratio")}
        if isinstance(config.vehicle, VehicleConfig):
            settings["vehicle"] = attrs.asdict(config.vehicle)
        settings["scenario_mapping"] = {name: list(cut) for name, cut in sorted(config.scenario_mapping.items())}
        return Identity(reader=READER, settings=settings, dataset=self._dataset)

    @property
    def _dataset(self) -> Mapping[str, int]:
        if self._states is None:
            packages: list[Place] = [*self._map_root.glob("*/*/map.gpkg")]
            maps = {"/".join(path.parts[-3:]): path for path in packages}
            self._states = file_states(self._paths | dict(sorted(maps.items())))
        return self._states

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return (log, reason, detail) of every log that was refused so far."""
        return [(log, error.reason, error.detail) for log, error in self._refused.items()]

    def _map(self, name: str) -> MapView:
        if name not in self._maps:
            version = self._config.map_version
            self._maps[name] = open_map(self._map_root, name, map_version=version, cache_home=self._cache_home)
        return self._maps[name]

    def _index(self, log: str) -> Index:
        """Return the index of a log, from memory if it was read lately.

        Raises:
            SampleError: The log is not there or cannot be read.
        """
        if log not in self._indices:
            self._indices[log] = self._read_index(log)
            self._indexed_frames += len(self._indices[log].frames)
            while self._indexed_frames > _INDEXED_FRAMES and len(self._indices) > 1:
                self._indexed_frames -= len(self._indices.popitem(last=False)[1].frames)
        self._indices.move_to_end(log)
        return self._indices[log]

    def _read_index(self, log: str) -> Index:
        if log in self._refused:
            raise self._refused[log]
        if log not in self._paths:
            raise SampleError(Reason.UNREADABLE_LOG, f"there is no log {log} in source.data_root")
        try:
            return read_index(self._paths[log])
        except SampleError as error:
            self._refused[log] = error
            raise

    def _log(self, name: str) -> Log:
        if name not in self._logs:
            self._logs[name] = Log(self._paths.get(name, Path(name)), self._index(name))
        self._logs.move_to_end(name)
        while len(self._logs) > self._config.logs_in_memory:
            self._logs.popitem(last=False)
        return self._logs[name]


def make(config: NuPlanConfig, context: Context) -> NuPlanSource:
    """Return the source that `[source] use = "nuplan"` asks for; a synthetic dataset is written first where there is none.

    Raises:
        PlutoError: Neither `data_root` nor `synthetic` is set, or nothing can be read there.
    """
    if config.data_root is None:
        if config.synthetic is None:
            message = "source.data_root: is not set; give the folder of your nuPlan logs, or a table [source.synthetic]"
            raise PlutoError(message)
        dataset = synthetic_dataset(config.synthetic, context.cache_home or default_home(), context.note)
        config = attrs.evolve(config, data_root=str(dataset.data_root), map_root=str(dataset.map_root))
    return NuPlanSource(config, cache_home=context.cache_home)


def synthetic_dataset(wanted: SyntheticConfig, home: Path, note: Callable[[str], None]) -> DatasetSummary:
    """Return the synthetic dataset of some settings, written now or before; one folder for each choice of settings."""
    settings = attrs.asdict(wanted)
    name = hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=6).hexdigest()
    folder = home / "synthetic" / name
    if not folder.is_dir():
        note(f"writing a synthetic dataset of {wanted.logs} logs to {folder}")
    return ensure_dataset(folder, **settings)
