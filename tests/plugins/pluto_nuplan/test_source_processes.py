"""Many processes read one log at once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pluto_core.filters import ScenarioFilter
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_core.testing.equality import difference
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import DatasetSummary

WINDOW = Window(history_s=1.0, future_s=2.0, interval_s=0.1)
ROWS = (0, 40, 90, 130)
READERS = 3


def load(source: NuPlanSource, scenarios: list[ScenarioId]) -> list[Scene]:
    """Return scenes: the first one alone, the others together."""
    scenes = [source.load(scenarios[0], WINDOW), *source.load_many(scenarios[1:], WINDOW)]
    assert not _open_databases(set(source.logs()))
    return [scene for scene in scenes if isinstance(scene, Scene)]


def _open_databases(logs: set[str]) -> list[str]:
    """Return those of the logs that this process holds open."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return []
    return [name for name in map(_target, descriptors.iterdir()) if Path(name).suffix == ".db" and Path(name).stem in logs]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # the one that lists the folder
        return ""


@pytest.fixture
def expected(source: NuPlanSource) -> list[Scene]:
    """Return the scenes, read here."""
    listing = source.list(ScenarioFilter())
    return load(source, [listing.id(row) for row in ROWS])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_readers_of_one_log_give_equal_scenes(source: NuPlanSource, expected: list[Scene], start: str) -> None:
    """Processes that are forked from one that has read, or started anew, read the same at once, each through its own file."""
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    ids = [scene.id for scene in expected]
    with ProcessPoolExecutor(READERS, mp_context=multiprocessing.get_context(start)) as pool:
        found = [pool.submit(load, source, ids) for _ in range(READERS)]
        for future in found:
            scenes = future.result(timeout=120)
            assert [difference(read, known) for read, known in zip(scenes, expected, strict=True)] == [None] * len(ROWS)


def test_a_child_reads_while_its_parent_does(source: NuPlanSource, expected: list[Scene], dataset: DatasetSummary) -> None:
    """A child inherits what its parent read, not its files; both go on reading logs that the other one has read."""
    listing = source.list(ScenarioFilter())
    more = [listing.id(len(listing) - 1 - row) for row in ROWS]
    assert len({scenario.log for scenario in (*more, expected[0].id)}) == len(list(dataset.data_root.glob("*.db")))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        future = pool.submit(load, source, more)
        here = load(source, more)
        assert [difference(one, other) for one, other in zip(future.result(timeout=120), here, strict=True)] == [None] * 4
