"""The worker `ray` on a cluster of this machine: what actors may do, and what is told."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import ray_world
from ray_world import Job, worker, world

from pluto_core.errors import PlutoError, Reason
from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline.locks import Owner
from pluto_core.pipeline.session import CacheJob
from pluto_core.testing import WorkerSuite
from pluto_ray import cluster
from pluto_ray.config import RayConfig
from pluto_ray.serving import Order, Place, Serving, job_of

BATCHES = [Batch(group="a", units=(0, 1, 2, 3)), Batch(group="b", units=()), Batch(group="c", units=(4, 5, 6))]
PLACES = [(number, unit, item * item) for number, batch in enumerate(BATCHES) for unit, item in enumerate(batch.units)]


@pytest.fixture(scope="module")
def here():
    """Let tests share a cluster: who is connected already stays so."""
    with cluster.connected(RayConfig(), 2):
        yield


@pytest.fixture
def make_job(tmp_path):
    """Return what makes jobs."""
    (tmp_path / "notes").mkdir()
    return lambda **settings: Job(str(tmp_path / "notes"), **{key: _frozen(value) for key, value in settings.items()})


def _frozen(value):
    return frozenset(value) if isinstance(value, set) else value


def done(results):
    return {(number, unit): result for number, unit, result in results}


# What needs no cluster


def test_a_node_that_does_not_see_the_cache(tmp_path):
    """A session that finds no lock of the driver in the cache's folder is refused, with both hosts and what to do."""
    folder = world.prepared(world.folder_at(tmp_path / "cache"))
    job = CacheJob(folder=folder, make_source=world.Source, make_builders=world.builders)
    driver = Owner(host="head", boot="", process=1, since="")
    with pytest.raises(PlutoError, match=r"does not see the cache .* that head makes; .* worker.shared = false"):
        job_of(Order(job=job, driver=driver))
    with folder.hold():
        assert job_of(Order(job=job, driver=Owner.this())) is job


def test_a_folder_stands_in_for_the_cache(tmp_path):
    """Where nodes share nothing, a session writes to a folder of its node, stored like the cache."""
    folder = world.folder_at(tmp_path / "cache")
    job = CacheJob(folder=folder, make_source=world.Source, make_builders=world.builders)
    own = job_of(Order(job=job, place=Place(scratch=str(tmp_path / "local"), name="one"))).folder
    assert own.path == tmp_path / "local" / "one"
    assert own.path.is_dir()
    assert own.store == folder.store


def test_spells(make_job):
    """An actor does at least one unit a call and stops after its spell; the errors of its session come back as they are."""
    serving = Serving()
    assert serving.open(ray_world.packed(make_job(odd_at={3})), 0).over
    assert serving.work(BATCHES[0], 0.0).results == (0,)
    rest = serving.work(None, 60.0)
    assert rest.results == (1, 4)
    error, trace = rest.failed
    assert str(error) == "OddError: odd"
    assert "in run" in trace


def test_too_little_memory_for_one_unit(make_job):
    """A limit below what a process needs to begin is refused, not obeyed by starting an actor for each scenario."""
    error, _ = Serving().open(ray_world.packed(make_job(), held_bytes=1_000_000), 0).failed
    assert isinstance(error, PlutoError)
    assert "worker.memory_mb = 1: an actor holds" in str(error)


def test_room():
    """A node has room for as many sessions as all that they reserve allows."""
    node = cluster.Node(id="1", host="a", resources={"CPU": 8.0, "memory": 10e9, "scratch_disk": 3.0})
    assert node.room(RayConfig()) == 8
    assert node.room(RayConfig(cpus=0.5, memory_mb=1000)) == 10
    assert node.room(RayConfig(cpus=0.5, resources={"scratch_disk": 1.0})) == 3
    assert node.room(RayConfig(resources={"gpu_disk": 1.0})) == 0


def test_no_room():
    """A session that this machine has no room for is refused before anything is started."""
    with pytest.raises(PlutoError, match=r"no node of the cluster has room for a session of 100000 cores"):
        worker(cpus=1e5)


def test_a_long_path_for_sockets(tmp_path):
    """A folder in which no sockets can be made is refused, with how long it may be."""
    settings = {"count": 1, "runtime_dir": str(tmp_path / ("long" * 20))}
    with pytest.raises(PlutoError, match=r"runtime_dir = .* is too long for the paths of sockets"):
        list(worker(**settings).run(Job(str(tmp_path)), BATCHES))
    assert not list((tmp_path / ("long" * 20)).iterdir())


# Clusters that are not there


@pytest.mark.slow
@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9", "ray://127.0.0.1:9"])
def test_no_cluster(address, tmp_path):
    """A cluster that cannot be reached is named, with what to do."""
    with pytest.raises(PlutoError, match=f"cannot reach a cluster at address = '{address}'(.|\n)*start one with `ray start"):
        list(worker(address=address, count=1).run(Job(str(tmp_path)), BATCHES))


# On a cluster of this machine


@pytest.mark.slow
@pytest.mark.usefixtures("here")
class TestRay(WorkerSuite):
    """`ray` does what every worker does."""

    hooks, use = "pluto_ray.hooks", "ray"

    @pytest.fixture
    def settings(self):
        """Return two sessions."""
        return {"count": 2}


@pytest.mark.slow
@pytest.mark.usefixtures("here")
class TestFaults:
    """What goes wrong costs no more than it must."""

    def test_deaths(self, make_job):
        """A unit at which an actor died once is done by another, one that kills two is lost, all others come once."""
        results = list(worker(count=2).run(make_job(die_once_at={1}, die_at={5}), BATCHES))
        assert len(results) == len(PLACES)
        found = done(results)
        lost = found.pop((2, 1))
        assert isinstance(lost, Lost)
        assert lost.reason is Reason.WORKER_LOST
        assert found == done(place for place in PLACES if place[2] != 25)

    def test_a_unit_that_hangs(self, make_job):
        """After the timeout, twice, the unit is lost and the rest of its batch is done."""
        found = done(worker(count=1, timeout_s=1.0).run(make_job(hang_at={2}), BATCHES[:1]))
        assert found.pop((0, 2)).reason is Reason.TIMEOUT
        assert found == {(0, 0): 0, (0, 1): 1, (0, 3): 9}

    def test_a_session_that_holds_too_much(self, make_job):
        """A session over its memory makes room for another after its unit; nothing is lost."""
        job = make_job(swell_at={1})
        assert sorted(worker(count=1, memory_mb=300).run(job, BATCHES)) == PLACES
        assert len({path.name for path in Path(job.folder).glob("open-*")}) == 2

    def test_what_goes_wrong_at_the_end(self, make_job):
        """An error at closing, such as of a full disk, reaches the caller after all results."""
        results = worker(count=1).run(make_job(closing="the disk is full"), BATCHES)
        assert [next(results) for _ in PLACES] == PLACES
        with pytest.raises(PlutoError, match="the disk is full"):
            next(results)

    def test_no_place(self, make_job):
        """A cluster that starts no session in time is named with what was asked of it and what it has."""
        asked = worker(count=1, cpus=64, start_timeout_s=1.0)
        with pytest.raises(PlutoError, match=r"no session within 1 s \(a session of 64 cores\); none of its nodes"):
            list(asked.run(make_job(), BATCHES))

    @pytest.mark.parametrize("shared", [True, False])
    @pytest.mark.parametrize("store", ["files", "lmdb"])
    def test_the_same_cache(self, tmp_path, store, shared):
        """Keys, bytes and failures are those of one session here, wherever the actors wrote."""
        wanted = world.listing(3, 20, special=("boom-1", "nan-1"))
        folders = [world.folder_at(tmp_path / name, store) for name in ("alone", "ray")]
        workers = [None, worker(count=2, shared=shared, scratch=str(tmp_path / "local"))]
        alone, by_ray = (world.cache(folder, wanted, worker=one) for folder, one in zip(folders, workers, strict=True))
        assert by_ray.failed == alone.failed
        assert world.content(folders[1]) == world.content(folders[0])
        assert folders[1].failures().keys() == folders[0].failures().keys()
        assert not list((tmp_path / "local").glob("*"))
