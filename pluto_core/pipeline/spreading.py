"""A source whose logs are listed, and questioned by the filter, by all sessions of a worker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError, Reason
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Batch, Identity
from pluto_core.listing import Listing
from pluto_core.protocols import LogLister, ScenarioSource, Worker
from pluto_core.scene import ScenarioId, Scene, Window

WORTH_LOGS = 64
"""Logs from which on several sessions list faster than one, although they have to start."""
_LOGS_AT_A_TIME = 8

Problem = tuple[str, Reason, str]


@attrs.frozen
class _Answer:
    """What one question about some logs gave."""

    content: Any
    problems: tuple[Problem, ...]


@attrs.frozen(kw_only=True)
class _Questions:
    """A job: each unit is a question, a function of a source."""

    make_source: Callable[[], ScenarioSource]
    wanted: ScenarioFilter
    """May name many tokens: it goes to each worker once, not along with each question."""

    def open(self, slot: int) -> "_Asking":
        """Return the session of one worker."""
        del slot
        return _Asking(self.make_source(), self.wanted)


class _Asking:
    """One worker's source."""

    def __init__(self, source: ScenarioSource, wanted: ScenarioFilter) -> None:
        self._source, self._wanted = source, wanted

    def run(self, batch: Batch) -> Iterator[_Answer | None]:
        """Yield an answer a unit; None where the source refuses, for it has to say why where somebody reads it."""
        for question in batch.units:
            try:
                content = question(self._source, self._wanted)
            except PlutoError:
                yield None
            else:
                yield _Answer(content, tuple(self._source.problems()))

    def __enter__(self) -> "_Asking":
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing was written."""


@attrs.frozen
class _List:
    """A question: the candidates of some logs."""

    logs: tuple[str, ...]

    def __call__(self, source: ScenarioSource, wanted: ScenarioFilter) -> Listing:
        return source.list(attrs.evolve(wanted, log_names=self.logs))


@attrs.frozen(eq=False)
class _Columns:
    """A question: columns of some rows."""

    listing: Listing
    names: tuple[str, ...]

    def __call__(self, source: ScenarioSource, wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        return source.columns(self.listing, self.names, wanted)


class Spread:
    """A source as another one, with many hands for `list` and `columns` where it names its logs (`LogLister`).

    Where a session refuses or is lost, the source is asked in this process, as it would be without a worker.
    """

    def __init__(
        self,
        source: ScenarioSource,
        make_source: Callable[[], ScenarioSource],
        make_worker: Callable[[], Worker],
        *,
        worth_logs: int = WORTH_LOGS,
    ) -> None:
        """Take a source, how to make the same in another process, and how to make the worker, for when it is needed."""
        self.answers = source.answers
        self._source, self._make_source, self._make_worker = source, make_source, make_worker
        self._worth_logs = worth_logs
        self._problems: dict[str, Problem] = {}

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the candidates, as the source does."""
        asked = None if wanted.log_names is None else set(wanted.log_names)
        logs = self._source.logs() if isinstance(self._source, LogLister) else ()
        names = tuple(name for name in logs if asked is None or name in asked)
        questions = [_List(names[at : at + _LOGS_AT_A_TIME]) for at in range(0, len(names), _LOGS_AT_A_TIME)]
        found = self._answers(questions, wanted) if len(names) >= self._worth_logs else None
        return self._source.list(wanted) if found is None else Listing.concatenated(found)

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return columns for the filter, as the source does."""
        codes = np.unique(listing.logs.codes)
        parts = [
            np.flatnonzero(np.isin(listing.logs.codes, codes[at : at + _LOGS_AT_A_TIME]))
            for at in (range(0, len(codes), _LOGS_AT_A_TIME) if len(codes) >= self._worth_logs else ())
        ]
        questions = [_Columns(listing.take(rows), tuple(names)) for rows in parts]
        found = self._answers(questions, wanted) if parts else None
        if found is None:
            return self._source.columns(listing, names, wanted)
        columns = {}
        for name in names:
            column = np.zeros(len(listing), found[0][name].dtype)
            for rows, answer in zip(parts, found, strict=True):
                column[rows] = answer[name]
            columns[name] = column
        return columns

    def _answers(self, questions: "Sequence[_List | _Columns]", wanted: ScenarioFilter) -> "Sequence[Any] | None":
        """Return what each question gives, in order; None where not every one is answered, or nobody is there to help."""
        worker = self._make_worker()
        if worker.count == 1:
            return None
        job = _Questions(make_source=self._make_source, wanted=wanted)
        batches = [Batch(group=str(number), units=(question,)) for number, question in enumerate(questions)]
        said = worker.run(job, batches)
        answers = {number: answer for number, _, answer in said if isinstance(answer, _Answer)}
        self._problems |= {problem[0]: problem for answer in answers.values() for problem in answer.problems}
        return [answers[number].content for number in range(len(questions))] if len(answers) == len(questions) else None

    def problems(self) -> Sequence[Problem]:
        """Return (log, reason, detail) of every log that was refused so far, here or elsewhere."""
        return tuple((self._problems | {problem[0]: problem for problem in self._source.problems()}).values())

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return one scene, as the source does."""
        return self._source.load(scenario, window)

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Any]:
        """Yield scenes, as the source does."""
        return self._source.load_many(scenarios, window)

    def identity(self) -> Identity:
        """Return what the source is."""
        return self._source.identity()
