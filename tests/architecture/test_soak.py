"""The soak notices what it is there for."""

import signal
import sys
import threading
from pathlib import Path

import attrs
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # programs are no package

from soak import Hit, growth, unfit
from soak_attempts import BUG, INTERRUPTED, End, held
from soak_remains import Left, phase_of

CALM = Left(
    values={b"a": b"1", b"b": b"2"},
    failures=frozenset({"token: no_route"}),
    weights={"linear": torch.ones(2)},
    curves=[{"epoch": 0.0, "train/loss": 1.0}],
    files=frozenset({"runs", "runs/#"}),
)


@pytest.mark.parametrize(
    "change",
    [
        {"values": {b"a": b"1"}},
        {"values": {b"a": b"1", b"b": b"3"}},
        {"failures": frozenset({"token: worker_lost"})},
        {"weights": {"linear": torch.tensor([1.0, 1.0 + 1e-7])}},
        {"curves": [{"epoch": 0.0}]},
        {"files": CALM.files | {"runs/.#"}},
    ],
    ids=["lost", "value", "failure", "weight", "curve", "file"],
)
def test_every_difference_is_told(change):
    """A lost or changed value, another failure, weight or curve, and a file too many are one line each; equality is none."""
    assert not list(CALM.differences(CALM))
    assert len(list(attrs.evolve(CALM, **change).differences(CALM))) == 1


def test_an_attempt_may_end_as_its_signal_says_and_not_otherwise():
    """After SIGKILL, Ctrl-C or nothing, only the exit codes of those fit; a traceback never does."""
    killed, stopped = Hit("SIGKILL", "the program", "cache"), Hit("SIGINT", "the program", "training")
    worker = Hit("SIGKILL", "a process", "training")
    assert not unfit(End(0, ""), None)
    assert not unfit(End(-signal.SIGKILL, ""), killed)
    assert not unfit(End(INTERRUPTED, "interrupted"), stopped)
    assert not unfit(End(1, "error: a process that loads samples was killed"), worker)
    assert not unfit(End(-signal.SIGINT, "run 001 is complete: 9.8 s now"), Hit("SIGINT", "the program", "end"))
    assert not unfit(End(-signal.SIGINT, "interrupted"), stopped)
    assert unfit(End(-signal.SIGINT, "epoch 1 of 3"), stopped)
    assert unfit(End(-signal.SIGINT, "run 001 is complete: 9.8 s now"), killed)
    assert unfit(End(1, ""), None)
    assert unfit(End(-signal.SIGKILL, ""), stopped)
    assert unfit(End(-signal.SIGSEGV, ""), killed)
    assert unfit(End(1, "error: something else"), worker)
    assert unfit(End(BUG, ""), stopped)
    assert unfit(End(INTERRUPTED, "Traceback (most recent call last):"), stopped)


def test_a_process_that_lost_its_program_while_it_started_may_say_so():
    """Python's own traceback of that is accepted once, after SIGKILL to the program, and after nothing else."""
    killed, stopped = Hit("SIGKILL", "the program", "training"), Hit("SIGINT", "the program", "training")
    told = "Traceback (most recent call last):\n  in spawn_main\nEOFError: Ran out of input\n"
    assert not unfit(End(-signal.SIGKILL, told), killed)
    assert unfit(End(INTERRUPTED, told), stopped)
    assert unfit(End(-signal.SIGKILL, told.replace("spawn_main", "main")), killed)
    assert unfit(End(-signal.SIGKILL, told + "Traceback (most recent call last):"), killed)


def test_ctrl_c_before_our_first_module_is_pythons():
    """A traceback without a frame of ours, and nothing said before it, is accepted after Ctrl-C, whatever the phase."""
    stopped = Hit("SIGINT twice", "the program", "end")
    told = 'Traceback (most recent call last):\n  File "<frozen runpy>", in _run_module_as_main\nKeyboardInterrupt\n'
    assert not unfit(End(-signal.SIGINT, told), stopped)
    assert unfit(End(-signal.SIGINT, "listing scenarios\n" + told), stopped)
    assert unfit(End(-signal.SIGINT, told.replace("<frozen runpy>", "pluto_core/run.py")), stopped)


def test_what_a_process_holds_is_told_by_name(tmp_path):
    """An open file and a thread more are counted, and stand in the list with their names."""
    before, go_on = held(), threading.Event()
    thread = threading.Thread(target=go_on.wait, name="a thread too many")
    thread.start()
    with (tmp_path / "held.txt").open("w"):
        after = held()
    go_on.set()
    thread.join()
    more = {name: after.counts[name] - before.counts[name] for name in ("open files", "threads")}
    assert more == {"open files": 1, "threads": 1}
    assert "a thread too many" in after.what
    assert any(str(tmp_path / "held.txt") in one for one in after.what)


def test_growth_leaves_warming_up_out():
    """What rises in the first quarter alone is no growth; what rises all the time is."""
    assert growth([1.0, 50.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0]) == (100.0, 100.0)
    first, last = growth([float(number) for number in range(16)])
    assert last - first == 8.0


def test_a_run_says_how_far_it_is(tmp_path):
    """Manifest, state and checkpoint tell the phase; a checkpoint of an earlier attempt does not count."""
    state, checkpoint = tmp_path / "runs" / "001" / "state.json", tmp_path / "runs" / "001" / "checkpoints" / "last.ckpt"
    assert phase_of(tmp_path, 0.0) == "start"
    (tmp_path / "runs" / "cache").mkdir(parents=True)
    (tmp_path / "runs" / "cache" / "manifest.json").touch()
    assert phase_of(tmp_path, 0.0) == "cache"
    checkpoint.parent.mkdir(parents=True)
    state.write_text('{"steps": {"cache": {}}}')
    assert phase_of(tmp_path, 0.0) == "training begins"
    checkpoint.touch()
    assert phase_of(tmp_path, checkpoint.stat().st_mtime + 1) == "training begins"
    assert phase_of(tmp_path, checkpoint.stat().st_mtime - 1) == "training"
    state.write_text('{"steps": {"cache": {}, "train": {}}}')
    assert phase_of(tmp_path, 0.0) == "end"
