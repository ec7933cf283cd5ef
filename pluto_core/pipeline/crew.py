"""Processes that fill batches ahead of the one that trains, in memory that they share with it.

Every process is started anew (`spawn`): a fork would copy the locks of torch's threads. It imports what the reader and the
augmentations need, and no torch. A process holds one end of a pipe, on which it hears which samples to put into which buffer
and says where in it the arrays stand. Batches are dealt in turn and heard in the same order, so that neither the number of
processes nor their speed changes what comes when.

What a process cannot do (a damaged value, a mistake in an augmentation) is done again by the process that asked, so that it
ends there in the same way as without a crew.
"""

import contextlib
import multiprocessing
import os
import signal
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.pipeline.allocator import keep_freed_memory
from pluto_core.pipeline.filling import Filler
from pluto_core.pipeline.layout import Filled
from pluto_core.pipeline.shared import SharedBuffer

AHEAD = 2
"""Batches that each process has been asked for and that were not taken yet."""
_LOOK_S = 2.0
"""How often an idle process looks whether the one that started it lives; forks of that one may keep the pipe open."""
_PATIENCE_S = 5.0
"""How long a process may take to finish its batch at the end, before it is killed."""


@attrs.frozen
class Request:
    """A batch to be filled."""

    keys: tuple[str, ...]
    epoch: int


@attrs.frozen(eq=False)
class Answer:
    """What became of a request. The buffer is its own until `slots - 1` more answers have been given."""

    request: Request
    buffer: SharedBuffer
    filled: Filled | None
    """None where the process could not do it."""


@attrs.frozen(eq=False)
class _Hand:
    """One process, seen from here."""

    process: BaseProcess
    pipe: Connection


@attrs.frozen(eq=False)
class _Sent:
    """A request on its way."""

    hand: _Hand
    slot: int
    request: Request


class Crew:
    """The processes of one loader; they stay from epoch to epoch."""

    def __init__(self, filler: Filler, *, workers: int, slots: int) -> None:
        """Start the processes; they open what they read when they first read it.

        Raises:
            PlutoError: The reader or an augmentation cannot be sent to another process.
        """
        self._slots = slots
        self._buffers = tuple(SharedBuffer.make() for _ in range(slots + AHEAD * workers))
        self._free = deque(range(len(self._buffers)))
        self._held: deque[int] = deque()
        self._sent: deque[_Sent] = deque()
        self._hands: list[_Hand] = []
        self._turn = 0
        # Also at the end of the interpreter, when it is too late for what is suspended to wait for its processes.
        self._ending = _Ending(self._hands, self._buffers)
        weakref.finalize(self, self._ending.close)
        try:
            for _ in range(workers):
                self._hands.append(_hire(filler, self._buffers))
        except (PicklingError, AttributeError, TypeError) as error:
            self.close()
            message = f"what loads samples cannot be sent to another process ({error}); set loader.workers = 0"
            raise PlutoError(message) from error
        except BaseException:
            self.close()
            raise

    @property
    def usable(self) -> bool:
        """Return whether it can be asked by this process."""
        return not self._ending.closed and self._ending.owner == os.getpid()

    @property
    def processes(self) -> tuple[int, ...]:
        """Return the ids of the processes."""
        return tuple(hand.process.pid or 0 for hand in self._hands)

    def answers(self, requests: Iterable[Request]) -> Generator[Answer]:
        """Yield one answer a request, in their order; what is not taken when the iterator is closed is dropped.

        Raises:
            PlutoError: A process was killed.
        """
        coming = iter(requests)
        try:
            while self._deal(coming):
                sent = self._sent[0]
                filled = self._hear(sent)
                self._sent.popleft()
                self._held.append(sent.slot)
                yield Answer(sent.request, self._buffers[sent.slot], filled)
        except GeneratorExit:
            self._settle()
            raise
        except BaseException:
            self.close()
            raise

    def _deal(self, coming: Iterator[Request]) -> bool:
        """Ask for as many batches as there are buffers, and return whether any is on its way."""
        if len(self._held) == self._slots:
            self._free.append(self._held.popleft())
        while self._free:
            request = next(coming, None)
            if request is None:
                break
            hand, self._turn = self._hands[self._turn], (self._turn + 1) % len(self._hands)
            slot = self._free.popleft()
            self._sent.append(_Sent(hand, slot, request))
            with contextlib.suppress(OSError):  # it died; its pipe says so when the answer is awaited
                hand.pipe.send((slot, request))
        return bool(self._sent)

    def _hear(self, sent: _Sent) -> Filled | None:
        if not self.usable:
            message = "the loader was closed, or forked, while its batches were taken"
            raise PlutoError(message)
        try:
            filled: Filled | None = sent.hand.pipe.recv()
        except (EOFError, OSError):
            raise PlutoError(_obituary(sent)) from None
        return filled

    def _settle(self) -> None:
        """Wait for what nobody takes any more, so that the next epoch finds every buffer at rest."""
        try:
            while self._sent and self.usable:
                self._hear(self._sent[0])
                self._free.append(self._sent.popleft().slot)
        except BaseException as error:
            self.close()
            if not isinstance(error, PlutoError):
                raise

    def close(self) -> None:
        """End the processes and let go of the memory; a fork of the owner leaves them alone."""
        self._ending.close()


@attrs.define(eq=False)
class _Ending:
    """How a crew ends; it outlives the crew."""

    hands: list[_Hand]
    buffers: Sequence[SharedBuffer]
    owner: int = attrs.field(factory=os.getpid)
    closed: bool = False
    left: list[_Hand] = attrs.field(init=False, factory=list[_Hand])
    """Processes that were not ended yet."""

    def close(self) -> None:
        """End what is left; Ctrl-C ends the waiting for processes, and they with it."""
        if os.getpid() != self.owner:
            return
        if not self.closed:
            self.closed, self.left = True, list(self.hands)
        try:
            for hand in self.left:
                with contextlib.suppress(OSError):
                    hand.pipe.send(None)  # closing is not enough where a fork has the pipe too
                hand.pipe.close()
            for hand in self.left:
                hand.process.join(_PATIENCE_S)
        finally:
            while self.left:
                process = self.left[-1].process
                if process.is_alive():
                    process.kill()
                    process.join()
                process.close()
                self.left.pop()
            for buffer in self.buffers:
                buffer.close()


class Crews:
    """The crew of a loader; as many as are asked for at the same time, of which one is kept for the next epoch."""

    def __init__(self, filler: Filler, *, workers: int, slots: int) -> None:
        """Remember what crews do; none is started yet."""
        self._filler, self._workers, self._slots = filler, workers, slots
        self._idle: list[Crew] = []
        self._all: weakref.WeakSet[Crew] = weakref.WeakSet()

    @contextlib.contextmanager
    def take(self) -> Iterator[Crew]:
        """Give a crew that does nothing else in the `with` block."""
        idle = [crew for crew in self._idle if crew.usable]
        self._idle.clear()
        crew = idle.pop() if idle else Crew(self._filler, workers=self._workers, slots=self._slots)
        self._all.add(crew)
        try:
            yield crew
        finally:
            for other in self._idle:
                other.close()
            self._idle[:] = [crew]

    def close(self) -> None:
        """End them all, also those whose batches are being taken."""
        for crew in list(self._all):
            crew.close()

    def __reduce__(self) -> tuple[Callable[..., "Crews"], tuple[Any, ...]]:
        """Leave the processes out."""
        return partial(Crews, workers=self._workers, slots=self._slots), (self._filler,)


def _hire(filler: Filler, buffers: tuple[SharedBuffer, ...]) -> _Hand:
    """Start a process. Ctrl-C does not reach it: the one that trains ends it in order."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, filler, buffers), daemon=True, name="pluto-loader")
    resource_tracker.ensure_running()  # which, if it came with the first process, would let Ctrl-C through to that one
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
    return _Hand(process, ours)


def _obituary(sent: _Sent) -> str:
    process = sent.hand.process
    process.join(_PATIENCE_S)
    code = process.exitcode
    if code is not None and code < 0:
        number = -code
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        how = f"was killed (signal {name}); was there too little memory? Lower loader.workers or loader.batch_size"
    else:
        how = f"ended with code {code}; set loader.workers = 0 to see why"
    keys = sent.request.keys
    return f"a process that loads samples {how}. It was asked for the batch of {keys[0]} and {len(keys) - 1} more"


def serve(pipe: Connection, filler: Filler, buffers: tuple[SharedBuffer, ...]) -> None:
    """Fill batches until the pipe ends, or the process at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    with contextlib.suppress(EOFError, OSError):
        while True:
            while not pipe.poll(_LOOK_S):
                if parent is not None and os.getppid() != parent.pid:
                    return
            task = pipe.recv()
            if task is None:
                return
            slot, request = task
            pipe.send(_filled(filler, request, buffers[slot]))


def _filled(filler: Filler, request: Request, buffer: SharedBuffer) -> Filled | None:
    try:
        return filler.fill(request.keys, request.epoch, buffer.take)[0]
    except Exception:  # noqa: BLE001 -- done again, and raised, by the process that asked
        return None
