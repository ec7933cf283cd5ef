"""Ctrl-C and SIGTERM: the first asks, the second raises, and neither is lost, whatever the program does just then."""

import io
import os
import signal
import threading

import pytest

from pluto_core.pipeline.interrupts import Interrupts


class Interrupted(io.RawIOBase):
    """A terminal at which Ctrl-C is pressed while the first line is being written."""

    def __init__(self):
        self.written = b""

    def writable(self):
        """Say so."""
        return True

    def write(self, data):
        """Keep what is written."""
        if not self.written:
            self.written = b" "
            os.kill(os.getpid(), signal.SIGINT)
        self.written += bytes(data)
        return len(data)


def test_the_first_asks_and_the_second_raises():
    """The first signal is told and remembered; the second is KeyboardInterrupt; afterwards signals go where they went."""
    said, before = [], signal.getsignal(signal.SIGTERM)
    with Interrupts(said.append) as interrupts:
        assert not interrupts.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked
        assert said == ["stopping after what is in work; Ctrl-C again stops at once"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_within_a_write():
    """Ctrl-C while the program writes a line is no error of that write, and what it asks for is still told."""
    terminal = Interrupted()
    with io.TextIOWrapper(io.BufferedWriter(terminal), "utf-8") as stream:
        before = set(threading.enumerate())
        with Interrupts(lambda text: print(text, file=stream, flush=True)) as interrupts:
            print("at 1", file=stream, flush=True)
        assert interrupts.asked
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert terminal.written.split(b"\n")[0] == b" at 1"
        assert b"stopping after what is in work" in terminal.written
