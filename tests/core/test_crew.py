"""Batches filled by other processes: the same ones, and nothing of them stays."""

import contextlib
import gc
import multiprocessing.process
import os
import pickle
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core import arrays
from pluto_core.component import load
from pluto_core.errors import PlutoError
from pluto_core.pipeline import fields
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.settings import LoaderSettings
from pluto_core.testing.fake_samples import Mirror

TAGS = ("agents", "future")
PARTS = '''
import os
import signal
import attrs
from pluto_core.errors import Reason, SampleError

@attrs.frozen
class Reader:
    """A reader of which some samples are damaged, and some end the process."""
    inner: object
    damaged: tuple = ()
    deadly: tuple = ()
    owner: int = os.getpid()

    def get_many(self, keys):
        if set(keys) & set(self.deadly) and os.getpid() != self.owner:
            os.kill(os.getpid(), signal.SIGKILL)
        if set(keys) & set(self.damaged):
            raise SampleError(Reason.DAMAGED_VALUE, "checksum differs")
        return self.inner.get_many(keys)

class Broken:
    """An augmentation with a mistake."""
    def output_spec(self, spec):
        return {"anchor": spec}
    def augment(self, sample, rng, epoch):
        return {"anchor": sample["nothing"]}
'''
TRAIN_UNTIL_KILLED = """
import os, sys, time
import cache_world as world
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.settings import LoaderSettings
from pluto_core import arrays

if __name__ == "__main__":
    spec = arrays.join([(tag, builder.spec) for tag, builder in world.builders(("agents", "future"))])
    settings = LoaderSettings(batch_size=4, workers=2)
    made = BatchLoader(
        world.folder_at(sys.argv[1]).reader(("agents", "future")), world.listing(2, 24), spec=spec, settings=settings,
        part="train", seed=3,
    )
    batches = made.batches(0)
    next(batches)
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a cache of 48 samples."""
    made = world.folder_at(tmp_path_factory.mktemp("crew") / "cache")
    world.cache(made, world.listing(2, 24))
    return made


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Return a module that other processes can import."""
    (tmp_path / "crew_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name: load(f"crew_parts:{name}")


@pytest.fixture
def make(folder):
    """Return what makes loaders; all are closed in the end."""
    made = []

    def loader(*, reader=None, augmentations=(), slots=4, part="train", **settings):
        one = BatchLoader(
            reader or folder.reader(TAGS),
            world.listing(2, 24),
            spec=arrays.join([(tag, builder.spec) for tag, builder in world.builders(TAGS)]),
            settings=LoaderSettings(**{"batch_size": 5} | settings),
            part=part,
            seed=3,
            augmentations=augmentations,
            slots=slots,
        )
        made.append(one)
        return one

    yield loader
    for one in made:
        one.close()


def copies(batches):
    return [{key: array.copy() for key, array in batch.arrays.items()} | {"ids": batch.ids} for batch in batches]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert list(one) == list(other)
        assert one["ids"] == other["ids"]
        for key in one.keys() - {"ids"}:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def children(process="self"):
    """Return the living processes that one started, the tracker of multiprocessing left out."""
    found = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(one) for one in (task / "children").read_text().split()}
    return {one for one in found if works(one)}


def works(process):
    """Return whether a process is one that was started to work and is alive."""
    try:
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def open_files(process="self"):
    """Return the number of open files of a process."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def wait_until_gone(processes, patience_s=15.0):
    """Return those that are still there after a while."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any(map(works, processes)):
        time.sleep(0.05)
    return set(filter(works, processes))


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_those_of_one_process(make, workers):
    """Values, order, dtypes and padding do not depend on the number of processes, augmentations included, over epochs."""
    alone, crew = make(augmentations=[Mirror()]), make(augmentations=[Mirror()], workers=workers)
    for epoch in range(3):
        assert_same(copies(crew.batches(epoch)), copies(alone.batches(epoch)))
    assert_same(copies(crew.batches(1, rank=1, world=2, skip=2)), copies(alone.batches(1, rank=1, world=2, skip=2)))


def test_systems_without_memory_files(make, monkeypatch):
    """Where the system has no memory files, files without a name serve."""
    monkeypatch.delattr(os, "memfd_create")
    assert_same(copies(make(workers=1).batches(0)), copies(make().batches(0)))


def test_a_batch_is_valid_for_as_long_as_promised(make):
    """The last `slots` batches are intact, also over the end of an epoch that was left early; memory is reused before that."""
    alone, crew = make(), make(workers=2, slots=3)
    truth = copies(alone.batches(0)) + copies(alone.batches(1))
    kept, number = [], 0
    places = set()
    for epoch, taken in ((0, 6), (1, 10)):
        number = epoch * 10
        for batch in islice(crew.batches(epoch), taken):
            kept = [*kept[-2:], (number, batch)]
            number += 1
            places.add(batch.arrays["map"].ctypes.data)
            for known, held in kept:
                np.testing.assert_array_equal(held.arrays["map"], truth[known]["map"])
                np.testing.assert_array_equal(held.arrays["future"], truth[known]["future"])
    assert len(places) < 16


def test_poison_finds_a_consumer_that_keeps_batches_too_long(make):
    """With poison, a batch of a crew is intact for as long as promised and visibly gone afterwards."""
    alone, crew = make(), make(workers=1, poison=True, slots=3)
    kept = list(islice(crew.batches(0), 4))
    truth = copies(islice(alone.batches(0), 4))
    for batch, known in zip(kept[1:], truth[1:], strict=True):
        np.testing.assert_array_equal(batch.arrays["map"], known["map"])
    assert np.isnan(kept[0].arrays["map"]).all()


def test_two_epochs_at_a_time(make):
    """Iterations of one loader do not disturb each other."""
    alone, crew = make(), make(workers=1)
    first, second = crew.batches(0), crew.batches(1)
    both = [(copies([one]), copies([other])) for one, other in zip(first, second, strict=True)]
    assert_same([one for pair in both for one in pair[0]], copies(alone.batches(0)))
    assert_same([one for pair in both for one in pair[1]], copies(alone.batches(1)))


def test_damage_is_replaced_as_without_a_crew(make, folder, parts):
    """With `replace` the same samples stand in, and the record names them; by default the message is the same."""
    bad = tuple(one.key for one in world.listing(2, 24).ids())[3:30:13]
    settings = {"augmentations": [Mirror()], "on_damaged": "replace"}
    alone = make(reader=parts("Reader")(folder.reader(TAGS), bad), **settings)
    crew = make(reader=parts("Reader")(folder.reader(TAGS), bad), workers=2, **settings)
    for epoch in range(2):
        assert_same(copies(crew.batches(epoch)), copies(alone.batches(epoch)))
    assert crew.replaced == alone.replaced
    assert crew.replaced.keys() == set(bad)
    strict = make(reader=parts("Reader")(folder.reader(TAGS), bad), workers=2)
    with pytest.raises(PlutoError, match=r"damaged_value: checksum differs; .*on_damaged"):
        list(strict.batches(0))


def test_a_mistake_in_an_augmentation_keeps_its_traceback(make, parts):
    """What fails in a process is raised where the batches are taken, as itself."""
    with pytest.raises(KeyError, match="nothing"):
        list(make(augmentations=[parts("Broken")()], workers=1).batches(0))


def test_a_killed_process_is_one_message(make, folder, parts):
    """A process that is killed ends the epoch with its signal and what to do, none is left, and the next epoch starts anew."""
    deadly = (world.listing(2, 24).id(20).key,)
    crew = make(reader=parts("Reader")(folder.reader(TAGS), (), deadly), workers=2, part="val")
    before = children()
    with pytest.raises(PlutoError, match=r"was killed \(signal SIGKILL\).*Lower loader.workers"):
        list(crew.batches(0))
    assert children() == before
    assert len(list(islice(crew.batches(0), 2))) == 2


def test_what_cannot_be_sent_is_refused(make, folder):
    """A reader that lives in this process alone is one message."""

    class Local:
        def get_many(self, keys):
            return folder.reader(TAGS).get_many(keys)

    before = children()
    with pytest.raises(PlutoError, match=r"cannot be sent to another process.*loader.workers = 0"):
        list(make(reader=Local(), workers=2).batches(0))
    assert children() == before


def test_samples_that_live_in_this_process_are_refused(make, tmp_path):
    """A cache in memory cannot be read by other processes, and says so before anything starts."""
    with pytest.raises(PlutoError, match=r"set loader.workers = 0, or change cache.use"):
        make(reader=world.prepared(world.folder_at(tmp_path / "cache", "memory")).reader(TAGS), workers=1)


def test_processes_stay_for_the_next_epoch_and_end_with_the_loader(make):
    """Epochs share processes, also after one that was left early; without the loader none stays."""
    before = children()
    crew = make(workers=2)
    list(islice(crew.batches(0), 1))
    started = children() - before
    assert len(started) == 2
    list(crew.batches(1))
    assert children() - before == started
    crew.close()
    assert children() == before
    list(islice(crew.batches(0), 1))
    assert len(children() - before) == 2
    suspended = crew.batches(1)
    next(suspended)
    crew.close()
    assert children() == before
    with pytest.raises(PlutoError, match="was closed"):
        list(suspended)
    list(islice(crew.batches(0), 1))
    other = pickle.loads(pickle.dumps(crew))  # noqa: S301
    assert_same(copies(other.batches(2)), copies(make().batches(2)))
    other_started = children() - before
    assert len(other_started) == 4
    del other
    gc.collect()
    assert len(children() - before) == 2


def test_ctrl_c_while_a_crew_ends_leaves_nothing(make, monkeypatch):
    """Whoever loses patience while processes are waited for gets their memory, files and processes back all the same."""
    crew = make(workers=2)

    def begun():
        assert len(list(islice(crew.batches(0), 2))) == 2
        return children()

    begun()
    crew.close()
    held, before = open_files(), children()
    started = begun() - before
    assert len(started) == 2

    def interrupt(_process, _patience_s=None):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        crew.close()
    gc.collect()
    assert (open_files(), children() & started, shared_kb()) == (held, set(), 0)


def test_many_epochs_take_no_more_descriptors_and_memory(make):
    """Epochs, whole or left early, with batches of changing size, leave files and memory as they were."""
    crew = make(workers=2, slots=2, augmentations=[Mirror()])

    def run(epochs):
        for epoch in epochs:
            for _ in islice(crew.batches(epoch), 10 if epoch % 2 else 3):
                pass
        gc.collect()
        return open_files(), shared_kb()

    run(range(20))
    held = run(range(20, 40))
    after = run(range(40, 100))
    assert after[0] == held[0]
    assert after[1] <= held[1] * 1.5 + 1000
    crew.close()
    assert shared_kb() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("workers", "augmentations"), [(0, [Mirror()]), (2, [Mirror()]), (0, [])], ids=["0", "2", "ahead"])
def test_ten_thousand_batches_take_no_more_memory(make, monkeypatch, workers, augmentations):
    """After thousands of batches, this process and those that load hold as much memory and as many files as before."""
    monkeypatch.setattr(fields, "LARGE", 512)  # something for the thread beside
    loader = make(workers=workers, augmentations=augmentations, threads=2)
    held = []
    for epoch in range(1000):
        for _ in loader.batches(epoch):
            pass
        if epoch in {200, 999}:
            gc.collect()
            held.append([(resident_kb(one), open_files(one)) for one in ("self", *sorted(children()))])
    assert len(held[0]) == len(held[1]) == 1 + workers
    for (before_kb, before_files), (after_kb, after_files) in zip(*held, strict=True):
        assert after_kb < before_kb * 1.05 + 3000
        assert after_files == before_files


def resident_kb(process):
    """Return how much memory a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def shared_kb():
    """Return how much memory of batches this process maps."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    mine = [place for place, line in enumerate(lines) if "memfd:pluto-batch" in line]
    return sum(int(lines[place + 1].split()[1]) for place in mine)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_parent(folder, tmp_path, how):
    """When the training process is killed or interrupted, those that it started end as well."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN_UNTIL_KILLED)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(world.__file__).parent), os.environ.get("PYTHONPATH", "")])
    }
    run = [sys.executable, str(script), str(folder.path)]
    with subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        started = children(process.pid)
        assert len(started) == 2
        process.send_signal(how)
        _, told = process.communicate(timeout=30)
        if how == signal.SIGINT:
            assert told.count("Traceback") == 1
            assert told.rstrip().endswith("KeyboardInterrupt")
        else:
            assert told == ""
    assert not wait_until_gone(started)


def test_a_fork_leaves_the_crew_to_its_parent(make):
    """A forked process, such as one of a training on several devices, has a crew of its own and ends none of its parent."""
    crew = make(workers=1)
    batches = crew.batches(0)
    truth = copies(make().batches(0))
    first = copies([next(batches)])
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            crew.close()
            own = copies(islice(crew.batches(0), 2))
            assert_same(own, truth[:2])
            crew.close()
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_same(first + copies(batches), truth)
