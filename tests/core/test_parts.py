"""Parts of an array job: a partition by logs that each part finds for itself."""

import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch
from pluto_core.listing import Listing
from pluto_core.pipeline import locks
from pluto_core.pipeline.dealing import Deal
from pluto_core.pipeline.parts import Part
from pluto_core.scene import ScenarioId


def listing_of(sizes):
    ids = [ScenarioId(f"log-{log}", f"{place:04x}", place) for log, size in enumerate(sizes) for place in range(size)]
    return Listing.of([(identity, "any", "town") for identity in ids])


@given(sizes=st.lists(st.integers(1, 9), max_size=12), count=st.integers(1, 9), seed=st.integers(0, 9))
def test_parts_are_a_partition(sizes, count, seed):
    """Each scenario is in one part, whole logs are, in any order of the listing; no part has more than a log too many."""
    listing = listing_of(sizes)
    parts = [Part(number, count).rows(listing) for number in range(count)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(listing)))
    logs = [{listing.logs.text(row) for row in rows.tolist()} for rows in parts]
    assert sum(map(len, logs)) == len(set().union(*logs))
    loads = [len(rows) for rows in parts]
    assert max(loads) - min(loads) <= max(sizes, default=0)
    shuffled = listing.take(np.random.default_rng(seed).permutation(len(listing)))
    for number, rows in enumerate(parts):
        again = shuffled.take(Part(number, count).rows(shuffled))
        assert set(again.ids()) == set(listing.take(rows).ids())


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "1/0", "a/b", "1/2/3", "0.5/2"])
def test_what_is_no_part(text):
    """Texts that name no part are refused, with an example of one that does."""
    with pytest.raises(PlutoError, match="such as 0/4"):
        Part.read(text)


def test_variables_of_the_reference():
    """NUM_NODES and NODE_RANK name a part; one node, or none, is the whole; half of the pair is refused."""
    assert Part.of_environment({"NUM_NODES": "3", "NODE_RANK": "2"}) == Part.read("2/3") == Part(2, 3)
    assert Part.of_environment({}) is Part.of_environment({"NUM_NODES": "1", "NODE_RANK": "0"}) is None
    assert Part.of_environment({"NODE_RANK": "4"}) is None
    with pytest.raises(PlutoError, match="NODE_RANK is not"):
        Part.of_environment({"NUM_NODES": "3"})
    with pytest.raises(PlutoError, match="NODE_RANK/NUM_NODES = 3/3"):
        Part.of_environment({"NUM_NODES": "3", "NODE_RANK": "3"})


def test_makers_of_one_cache(tmp_path):
    """Parts that begin at the same time all find the manifest of the first one, and each adds its builders."""
    one, other = world.folder_at(tmp_path / "cache"), world.folder_at(tmp_path / "cache")
    with one.hold("0-of-2"), other.hold("1-of-2"):
        world.prepared(one, ("agents",))
        world.prepared(other, ("future",))
    assert one.manifest.tags == ("agents", "future")


@given(
    groups=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=20),
    takers=st.lists(st.integers(0, 2), max_size=40),
)
def test_deal(groups, takers):
    """Every batch that is not empty is dealt once, in order for a worker that is alone, whoever comes when."""
    batches = [Batch(group=group, units=tuple(range(size))) for group, size in sorted(groups)]
    deal, at, dealt = Deal(batches), {}, []
    for taker in [*takers, *[0] * (len(batches) + 1)]:
        given_ = deal.take(at.get(taker))
        if given_ is None:
            break
        number, batch = given_
        assert batch is batches[number]
        at[taker] = batch.group
        dealt.append(number)
    assert sorted(dealt) == [number for number, batch in enumerate(batches) if batch.units]
    if not takers:
        assert dealt == sorted(dealt)


def test_logs_stay_with_their_worker():
    """While untouched logs are left each worker has its own; in the end all share what is left of the longest."""
    batches = [Batch(group=group, units=(0,)) for group in "aaaabbcc"]
    deal = Deal(batches)
    took = [deal.take(group) for group in (None, None, "a", "b", "b", "c", "c", "a", None)]
    assert [(number, batch.group) for number, batch in filter(None, took)] == [
        (0, "a"), (4, "b"), (1, "a"), (5, "b"), (6, "c"), (7, "c"), (2, "a"), (3, "a"),
    ]  # fmt: skip
    assert took[-1] is None


def left_behind(folder, part, silent_s):
    """Leave the lock of a run that died on another machine."""
    path = folder.path / "locks" / f"run-{part}"
    path.unlink(missing_ok=True)
    with folder.hold(part) as lock:
        content = path.read_text()
        assert lock
    path.write_text(content.replace(socket.gethostname(), "another-machine"))
    then = time.time() - silent_s
    os.utime(path, (then, then))


def test_a_part_that_died_elsewhere(tmp_path):
    """A part that is silent for long is taken over on any machine, also by a run of the whole; others are believed to live."""
    folder = world.prepared(world.folder_at(tmp_path / "cache"))
    left_behind(folder, "0-of-2", 60)
    for part in ("0-of-2", "all"):
        with pytest.raises(PlutoError, match=r"on another-machine.*silent for 15 minutes"):
            folder.hold(part)
    for part in ("0-of-2", "all"):
        left_behind(folder, "0-of-2", 1000)
        folder.hold(part).release()
    left_behind(folder, "all", 1000)
    with pytest.raises(PlutoError, match="on another-machine"):
        folder.hold("0-of-2")


def test_runs_give_signs_of_life(tmp_path, monkeypatch):
    """While a part computes, its lock stays young."""
    monkeypatch.setattr(locks, "BEAT_S", 0.005)
    folder = world.folder_at(tmp_path / "cache")
    path, ages = folder.path / "locks" / "run-0-of-2", []

    def look(_state):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 60
        while not path.stat().st_mtime and time.monotonic() < deadline:
            time.sleep(0.005)
        ages.append(path.stat().st_mtime)

    world.cache(folder, world.listing(1, 3), part="0-of-2", progress=look)
    assert ages
    assert all(ages)
