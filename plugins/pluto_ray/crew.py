"""The actors of one run: who does what, who died and why, and who takes over."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import ray
from ray.exceptions import (
    ActorUnavailableError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    UnserializableException,
)

from pluto_core import PlutoError
from pluto_core.errors import Reason
from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline.dealing import Deal
from pluto_ray import cluster
from pluto_ray.config import RayConfig
from pluto_ray.hands import Hand, Result, Stage, Task
from pluto_ray.serving import Answer, Serving, Surroundings

Known = Callable[[Batch], Mapping[int, Any]]
"""Gives the results of those units of a batch that are done already, by their number in it."""

_SPELL_S = 0.5
"""How long an actor works before it answers: seldom enough for one driver to hear hundreds of actors."""
_LOOK_S = 1.0
"""Time between two looks at what takes too long."""
_CLOSING_S = 120.0
"""How long a session may take to close (to seal a shard on a slow disk) before its actor is killed."""
_TELL_S = 20.0
"""How long the cluster may take to start the first session before the user is told what is waited for."""
_SILENT_S = 60.0
"""How long the cluster may take to find out that a node is gone."""
_FALSE_STARTS = 3
"""Actors that may die in a row before any of them begins; then there is a reason that will not go away."""
_TRIES = 2
"""How often a unit may be what an actor was lost at."""
_MOVES = 5
"""How often a unit may lose its node; one node after the other does not die by chance."""


class Crew:
    """The actors of one run. First `hire`, then `results`, then `dismiss`; `end` in every case."""

    def __init__(
        self, order: bytes, batches: Sequence[Batch], config: RayConfig, note: Callable[[str], None], known: Known | None = None
    ) -> None:
        self._config, self._note, self._known = config, note, known
        self._order = ray.put(order)
        self._surroundings = Surroundings.here()
        self._make = ray.remote(Serving).options(
            num_cpus=config.cpus,
            memory=config.memory_bytes,
            resources=config.resources,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._hands: list[Hand] = []
        self._hired = self._false_starts = 0
        self._deal = Deal(batches)
        self._left: deque[Task] = deque()
        self._ahead: deque[Result] = deque()
        self._hosts = {node.id: node.host for node in cluster.nodes()}
        self._alone_since: float | None = time.monotonic()
        self._waiting_told = False
        self.harmed = False
        """Whether an actor was lost, with what it had not brought to its place."""

    def hire(self, count: int = 1) -> None:
        """Ask the cluster for more actors."""
        for _ in range(count):
            actor = self._make.remote()
            self._hands.append(Hand(actor, actor.hello.remote(self._surroundings), self._hired, time.monotonic()))
            self._hired += 1

    def results(self) -> Iterator[Result]:
        """Yield every result; return when all batches are done.

        Raises:
            PlutoError: The cluster starts no session, or actors die before they can begin.
            RuntimeError: A session gave too few results.
        """
        while True:
            for hand in self._hands:
                if hand.idle:
                    self._assign(hand)
            while self._ahead:
                yield self._ahead.popleft()
            if self._is_over():
                return
            calls = {hand.call: hand for hand in self._hands if hand.call is not None}
            for call in _heard(calls):
                yield from self._hear(calls[call])
            yield from self._slow()
            yield from self._silent()
            self._check_begun()

    def _is_over(self) -> bool:
        """Return whether nothing is left, nobody works, and somebody waits in vain for more."""
        working = any(hand.task is not None for hand in self._hands)
        waiting = not self._hands or any(hand.idle for hand in self._hands)
        return waiting and not working and not self._left

    def _assign(self, hand: Hand) -> None:
        task = self._next_task(hand.group)
        if task is not None:
            hand.task, hand.group = task, task.batch.group
            self._work(hand, task.rest())

    def _work(self, hand: Hand, batch: Batch | None) -> None:
        """Let an actor begin a batch, or go on (None) with the one it is at."""
        spell_s = 0.0 if hand.task is not None and hand.task.single else _SPELL_S
        hand.since, hand.call = time.monotonic(), hand.actor.work.remote(batch, spell_s)

    def _next_task(self, group: str | None) -> Task | None:
        if self._left:
            return self._left.popleft()
        while (dealt := self._deal.take(group)) is not None:
            number, batch = dealt
            known = self._known(batch) if self._known is not None else {}
            self._ahead.extend((number, place, result) for place, result in known.items())
            places = [place for place in range(len(batch.units)) if place not in known]
            if places:
                units = tuple(batch.units[place] for place in places)
                return Task(number, attrs.evolve(batch, units=units), places)
        return None

    def _hear(self, hand: Hand) -> Iterator[Result]:
        try:
            answer = ray.get(hand.call)
        except (RayTaskError, UnserializableException):
            raise  # a bug, here or in what the session gave
        except ActorUnavailableError:
            hand.stage, hand.call, hand.since = Stage.SILENT, None, time.monotonic()
            return
        except RayError as error:
            yield from self._died(hand, error)
            return
        hand.call, hand.since = None, time.monotonic()
        if hand.stage is Stage.HIRED:
            hand.stage, hand.node = Stage.OPENING, answer
            hand.call = hand.actor.open.remote(self._order, hand.slot)
        else:
            yield from self._take(hand, answer)

    def _take(self, hand: Hand, answer: Answer) -> Iterator[Result]:
        hand.stage, self._false_starts = Stage.BEGUN, 0
        task = hand.task
        if task is not None:
            for result in answer.results:
                yield from self._result(task, result)
        if answer.failed is not None:
            raise told(*answer.failed)
        if answer.retired:
            self._remove(hand)
            self._replace(hand)
        elif answer.over:
            _check_complete(task)
            hand.task = None
        else:
            self._work(hand, None)

    def _result(self, task: Task, content: Any) -> Iterator[Result]:
        """Yield a result; of a unit that its process has too little memory for, only after another one tried."""
        if isinstance(content, Lost):
            yield from self._strike(task, content)
        else:
            yield task.result(content)

    @staticmethod
    def _strike(task: Task, lost: Lost) -> Iterator[Result]:
        task.tries += 1
        if task.tries == _TRIES:
            yield task.result(lost)

    def _silent(self) -> Iterator[Result]:
        """Take leave of actors that do not answer, once it is known whether their node is gone."""
        silent = [hand for hand in self._hands if hand.stage is Stage.SILENT]
        alive = {node.id for node in cluster.nodes()} if silent else set()
        for hand in silent:
            if (hand.node and hand.node not in alive) or time.monotonic() - hand.since > _SILENT_S:
                yield from self._died(hand, None)

    def _died(self, hand: Hand, error: RayError | None) -> Iterator[Result]:
        """Take leave of an actor; what it was at is tried once more, and more often where it was not the actor that failed."""
        self._remove(hand)
        node_died = bool(hand.node) and hand.node not in {node.id for node in cluster.nodes()}
        full = isinstance(error, OutOfMemoryError)
        why = "its node is gone" if node_died else "its node has no memory left" if full else "its process died"
        if hand.stage in (Stage.BEGUN, Stage.SILENT):
            self.harmed = True
            self._note(f"a session on {self._hosts.get(hand.node, 'a node')} was lost ({why}); others do what it left")
        elif not node_died:
            self._count_false_start(error)
        if hand.task is not None:
            yield from self._blame(hand.task, why, moved=node_died or full)
        self._replace(hand, fewer=full)

    def _blame(self, task: Task, why: str, *, moved: bool) -> Iterator[Result]:
        """Count what an actor was lost at, where that is known; unit by unit, as the rest of the batch is done, it is."""
        if moved:
            task.moves += 1
            if task.moves == _MOVES:
                yield task.result(Lost(Reason.WORKER_LOST, f"{_MOVES} actors were lost at it: {why}"))
        elif task.single:
            yield from self._strike(task, Lost(Reason.WORKER_LOST, f"{_TRIES} actors were lost at it: {why}"))
        task.single = True

    def _count_false_start(self, error: RayError | None) -> None:
        self._false_starts += 1
        broken = isinstance(error, RayActorError) and error.actor_init_failed
        if broken or self._false_starts == _FALSE_STARTS:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            cause = lines[-1] if broken else lines[0]
            advice = "" if isinstance(error, OutOfMemoryError) else "; is the same pluto installed on every node?"
            raise PlutoError(f"worker ray: a session ended before it could begin: {cause}{advice}")

    def _replace(self, hand: Hand, *, fewer: bool = False) -> None:
        """Hire an actor for what is left, if anything is; where memory is short, only if nobody else is there."""
        if hand.task is not None and not hand.task.done:
            self._left.appendleft(hand.task)
        hand.task = None
        if fewer and self._hands:
            return
        task = self._next_task(hand.group)
        if task is not None:
            self._left.appendleft(task)
            self.hire()

    def _slow(self) -> Iterator[Result]:
        """Kill actors whose unit takes too long. In which unit of a spell that was shows when it is done again, one a call."""
        limit = self._config.timeout_s
        for hand in list(self._hands) if limit is not None else ():
            task = hand.task
            if task is None or hand.call is None or limit is None:
                continue
            if time.monotonic() - hand.since > limit + (0.0 if task.single else _SPELL_S) and not _is_done(hand.call):
                self._remove(hand)
                self.harmed = True
                if task.single:
                    yield task.result(Lost(Reason.TIMEOUT, f"it took longer than {limit:g} s, and so did the try before"))
                task.single = True
                self._replace(hand)

    def _check_begun(self) -> None:
        """Tell the user what is waited for while there is no session, and give up in the end.

        Raises:
            PlutoError: No session could begin for `start_timeout_s`.
        """
        if not self._hands or any(hand.stage is Stage.BEGUN for hand in self._hands):
            self._alone_since = None
            return
        self._alone_since = self._alone_since or time.monotonic()
        waited = time.monotonic() - self._alone_since
        wants = f"a session of {cluster.wants(self._config)}"
        if waited > self._config.start_timeout_s:
            fits = sum(node.room(self._config) for node in cluster.nodes())
            room = (
                f"its nodes have room for {fits} such sessions when they are free"
                if fits
                else "none of its nodes is large enough"
            )
            message = f"worker ray: the cluster started no session within {self._config.start_timeout_s:g} s ({wants}); {room}"
            raise PlutoError(message)
        if waited > _TELL_S and not self._waiting_told:
            self._waiting_told = True
            self._note(f"waiting for the Ray cluster to start {wants}")

    def _remove(self, hand: Hand) -> None:
        self._hands.remove(hand)
        with contextlib.suppress(RayError):
            ray.kill(hand.actor)

    def dismiss(self) -> None:
        """Let every session close, and raise what goes wrong there."""
        failed: list[BaseException] = []
        for hand in [hand for hand in self._hands if hand.stage in (Stage.HIRED, Stage.SILENT)]:
            self._remove(hand)
        closing = {hand.actor.close.remote(): hand for hand in self._hands}
        deadline = time.monotonic() + _CLOSING_S
        while closing and time.monotonic() < deadline:
            for call in ray.wait(list(closing), timeout=_LOOK_S)[0]:
                hand = closing.pop(call)
                try:
                    answer: Answer = ray.get(call)
                except RayError:
                    self.harmed = True
                else:
                    failed += [told(*answer.failed)] if answer.failed is not None else []
                self._remove(hand)
        if failed:
            raise failed[0]

    def end(self) -> None:
        """Leave no actor behind: let sessions close in order; at a second interrupt, kill."""
        try:
            with contextlib.suppress(Exception):  # what ended the run is told, not what followed
                self.dismiss()
        finally:
            self.harmed |= bool(self._hands)
            for hand in list(self._hands):
                self._remove(hand)


def told(error: BaseException, trace: str) -> BaseException:
    """Return an error of an actor with the place where it happened as its cause."""
    error.__cause__ = RuntimeError(f"in a Ray actor:\n{trace}")
    return error


def _check_complete(task: Task | None) -> None:
    if task is not None and not task.done:
        message = f"the session gave {task.next} results for {len(task.batch.units)} units of {task.batch.group}"
        raise RuntimeError(message)


def _heard(calls: Collection[Any]) -> list[Any]:
    """Return calls that are answered, as soon as there is one, but no later than after a moment."""
    if not calls:
        time.sleep(_LOOK_S)
        return []
    heard: list[Any] = ray.wait(list(calls), timeout=_LOOK_S)[0]
    return heard


def _is_done(call: Any) -> bool:
    return bool(ray.wait([call], timeout=0)[0])
