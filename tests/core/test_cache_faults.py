"""What may happen to a cache while it is made: kills, full disks, damage, two runs at once, clocks that go back.

Each test says what is done to it; what is lost is always the scenario in work, or what the fault itself destroyed, and the
next run leaves key for key what an undisturbed one does.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import ExitCode, PlutoError, Reason, TooManyFailuresError
from pluto_core.pipeline import codec, copying, maintenance, shards
from pluto_core.pipeline.inspection import Damage

ON_DISK = pytest.mark.parametrize("store", ["files", "lmdb"])


def command(path, store="lmdb", logs=3, scenarios=60, delay_s=0.002, **options):
    arguments = [path, store, logs, scenarios, delay_s, *(f"{key}={value}" for key, value in options.items())]
    return [sys.executable, str(Path(world.__file__)), *map(str, arguments)]


def started(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command(*arguments, **options), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def wait_for(process, beginning):
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(process.stderr.read())


def undisturbed(tmp_path, store, wanted):
    folder = world.folder_at(tmp_path / "undisturbed", store)
    world.cache(folder, wanted)
    return world.content(folder)


def kill_and_resume(tmp_path, store, times, seed):
    wanted = world.listing(3, 60)
    expected = undisturbed(tmp_path, store, wanted)
    folder = world.folder_at(tmp_path / "cache", store)
    chance = random.Random(seed)  # noqa: S311 -- moments, not secrets
    for _ in range(times):
        process = started(folder.path, store, seal=chance.choice([7, 40, 5000]))
        with process:
            wait_for(process, "ready")
            time.sleep(chance.uniform(0.0, 0.25))
            process.kill()
    report = world.cache(folder, wanted)
    assert report.present + report.done == len(wanted)
    assert not report.failed
    assert world.content(folder) == expected
    assert not list(folder.shards.unsealed.iterdir())
    held = [key for stamp in folder.shards.sealed() for key in folder.shards.keys(stamp)]
    assert len(held) == len(set(held)) == 360
    return report


@pytest.mark.parametrize("store", ["files", "lmdb"])
def test_kill_and_resume(tmp_path, store):
    """Runs killed at any moment lose only the scenario in work: resumed, the cache is key for key the undisturbed one."""
    kill_and_resume(tmp_path, store, times=3, seed=store)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_kills(tmp_path, seed):
    """The same for twenty kills in a row, with four seeds."""
    kill_and_resume(tmp_path, "lmdb", times=20, seed=seed)


def test_a_killed_run_keeps_what_it_wrote(tmp_path):
    """After a kill in the middle of a long shard, the next run takes over all of it."""
    with started(tmp_path / "cache", delay_s=0.005) as process:
        for _ in range(4):
            wait_for(process, "at ")
        process.kill()
    notes = []
    report = world.cache(world.folder_at(tmp_path / "cache"), world.listing(3, 60), note=notes.append)
    assert report.present >= 20
    assert "took over" in notes[0]


def test_a_full_disk(tmp_path):
    """When the disk is full the run stops with what to do; what was written is kept, and the next run completes it."""
    wanted = world.listing(3, 60)
    with started(tmp_path / "cache", file_bytes=300_000, delay_s=0) as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "make room" in error
    assert "Traceback" not in error
    folder = world.folder_at(tmp_path / "cache")
    report = world.cache(folder, wanted)
    assert 5 < report.present < 150
    assert world.content(folder) == undisturbed(tmp_path, "lmdb", wanted)


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that makes a file system of so many bytes, or gives it another size or mode."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("only root can make a file system; the tests with a limit on the size of files stand in for it")
        return place

    yield mount
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


def fill(path):
    """Take what room is left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"0" * 4096):
            pass


@ON_DISK
def test_a_full_file_system(small_disk, tmp_path, store):
    """The same on a real file system that is full, for every store on disk; also when not even the manifest fits."""
    wanted = world.listing(3, 60)
    disk = small_disk("size=300k")
    folder = world.folder_at(disk / "cache", store)
    with pytest.raises(PlutoError, match="No space left"):
        world.cache(folder, wanted)
    fill(disk / "filler")
    with pytest.raises(PlutoError, match="cannot write to"):
        world.cache(folder, wanted)
    with pytest.raises(PlutoError, match="cannot write to"):
        world.cache(world.folder_at(disk / "another", store), wanted)
    (disk / "filler").unlink()
    small_disk("remount,size=64m")
    report = world.cache(folder, wanted)
    assert 5 < report.present < 175
    assert world.content(folder) == undisturbed(tmp_path, store, wanted)


def test_a_read_only_file_system(small_disk):
    """On a file system that cannot be written, a cache is read, and whatever has to write says so in one message."""
    wanted = world.listing(2, 6)
    folder = world.folder_at(small_disk("size=8m") / "cache")
    world.cache(folder, wanted)
    (folder.path / "index.bin").unlink()
    small_disk("remount,ro")
    assert maintenance.info(folder)["samples"] == 12
    reader = folder.reader()
    assert len(reader.get_many(list(reader.keys))) == 12
    reader.close()
    with pytest.raises(PlutoError, match=r"cannot write to .*[Rr]ead-only"):
        copying.compact(folder)
    with pytest.raises(PlutoError, match=r"cannot write to .*[Rr]ead-only.* \(scenarios to be computed: 4\)"):
        world.cache(folder, world.listing(2, 8))


def test_a_read_only_cache_that_lacks_nothing(small_disk):
    """Where nothing is to be computed, nothing is to be written: the cache step says so and ends, failures count as ever."""
    wanted = world.listing(2, 6, special=["nan"])
    folder = world.folder_at(small_disk("size=8m") / "cache")
    assert world.cache(folder, wanted).done == 12
    small_disk("remount,ro")
    notes = []
    report = world.cache(folder, wanted, note=notes.append)
    assert (report.asked, report.present, report.done, report.failed, report.failed_before) == (14, 12, 0, {}, 2)
    assert notes == [f"the cache {folder.path} cannot be written and lacks nothing of this experiment: it is used as it is"]
    with pytest.raises(TooManyFailuresError):
        world.cache(folder, wanted, max_failures=0)


def test_a_read_only_cache_is_verified(small_disk):
    """Every value is read and what is damaged is told; it stays until the cache is verified where it can be written."""
    folder = world.folder_at(small_disk("size=8m") / "cache", "files")
    world.cache(folder, world.listing(2, 6))
    damaged = sorted(folder.shards.path(folder.shards.sealed()[0].name).iterdir())[3]
    value = damaged.read_bytes()
    damaged.write_bytes(value[:-1] + bytes([value[-1] ^ 1]))
    small_disk("remount,ro")
    reports = [maintenance.verify(folder), maintenance.verify(folder)]
    small_disk("remount,rw")
    reports += [maintenance.verify(folder), maintenance.verify(folder)]
    assert [sum(report.damaged.values()) for report in reports] == [1, 1, 1, 0]
    assert [report.repaired for report in reports] == [False, False, True, True]


def test_a_folder_of_somebody_else():
    """Where the folder belongs to somebody else, the cache step is refused with one message, and nothing is changed."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = world.folder_at(Path(place) / "cache")
        world.cache(folder, world.listing(1, 5))
        before = sorted(folder.path.rglob("*"))
        folder.path.chmod(0o555)
        child = os.fork()
        if not child:
            os._exit(refused_as_nobody(folder))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        folder.path.chmod(0o755)
        assert sorted(folder.path.rglob("*")) == before


def refused_as_nobody(folder):
    """Be somebody who may not write, and return 0 where the cache step says so."""
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        world.cache(folder, world.listing(1, 9))
    except PlutoError as error:
        return 0 if "cannot write to" in str(error) and "Permission denied" in str(error) else 2
    except BaseException:  # noqa: BLE001 -- the parent learns of it by the exit code
        return 3
    return 1


@ON_DISK
def test_a_shard_is_deleted(tmp_path, store):
    """A deleted shard is named, and exactly its samples are computed again."""
    wanted = world.listing(4, 15)
    folder = world.folder_at(tmp_path / "cache", store)
    world.cache(folder, wanted.take(range(40)))
    world.cache(folder, wanted)
    first = max(folder.shards.sealed(), key=lambda stamp: len(folder.shards.keys(stamp))).name
    shards.remove(folder.shards.path(first))
    notes = []
    report = world.cache(folder, wanted, note=notes.append)
    assert (report.present, report.done) == (20, 40)
    assert notes == [f"the shard {first} is gone; its samples are computed again"]
    assert world.content(folder) == undisturbed(tmp_path, store, wanted)


@pytest.mark.parametrize("left", [0, 1, 4096, 20_000, -1])
def test_a_shard_is_cut_off(tmp_path, left):
    """A shard that lost its end, wherever, is moved away and named, and its samples are computed again."""
    wanted = world.listing(2, 15)
    folder = world.folder_at(tmp_path / "cache")
    world.cache(folder, wanted)
    path = folder.shards.path(folder.shards.sealed()[0].name)
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    notes = []
    assert world.cache(folder, wanted, note=notes.append).done == 30
    assert path.name in notes[0]
    assert (folder.path / "damaged" / path.name).exists()
    assert world.content(folder) == undisturbed(tmp_path, "lmdb", wanted)


def test_the_clock_goes_back(tmp_path, monkeypatch):
    """Ten years back between runs: nothing is lost, nothing old wins over what replaces it, all commands go on."""
    wanted = world.listing(3, 20, special=("boom-1",))
    folder = world.folder_at(tmp_path / "cache")
    world.cache(folder, wanted.take(range(30)))
    now, long_ago = time.time, time.gmtime
    monkeypatch.setattr(time, "time", lambda: now() - 10 * 365 * 86400)
    monkeypatch.setattr(time, "gmtime", lambda: long_ago(time.time()))
    world.cache(folder, wanted)
    old, new = (stamp.name for stamp in folder.shards.sealed())
    assert old[:4] == str(int(new[:4]) - 10)
    expected = undisturbed(tmp_path, "lmdb", wanted)
    assert world.content(folder) == expected
    key = folder.shards.keys(folder.shards.sealed()[1])[3]
    folder.drop({new: [Damage(key, Reason.DAMAGED_VALUE, "a test")]})
    assert world.cache(folder, wanted).done == 1
    index = folder.index()
    row = index.places_of("agents", index.keys[index.keys == key.partition(b"|")[2]])[0]
    assert index.shards[row].name < new
    assert maintenance.verify(folder).ok
    copying.compact(folder)
    assert maintenance.verify(folder).ok
    assert world.content(folder) == expected
    assert world.cache(folder, wanted).done == 0


def test_a_killed_run_and_a_clock_that_went_back(tmp_path, monkeypatch):
    """What a killed run left is adopted although its lock is from the future."""
    with started(tmp_path / "cache", delay_s=0.005) as process:
        for _ in range(4):
            wait_for(process, "at ")
        process.kill()
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    report = world.cache(world.folder_at(tmp_path / "cache"), world.listing(3, 60))
    assert report.present > 0
    assert report.present + report.done == 180


def test_values_of_another_version(tmp_path, monkeypatch):
    """Values that another version of the codec wrote are damage to `verify`, by their number, and computed again."""
    wanted = world.listing(2, 5)
    folder = world.folder_at(tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(codec, "VERSION", codec.VERSION + 1)
        world.cache(folder, wanted)
    report = maintenance.verify(folder)
    assert list(report.damaged.values()) == [20]
    assert world.cache(folder, wanted).done == 10
    assert maintenance.verify(folder).ok


def test_two_runs_at_once(tmp_path):
    """The second run says who holds the cache; as parts of one array job they go side by side and give the whole."""
    folder = world.folder_at(tmp_path / "cache")
    with started(folder.path, delay_s=0.01) as process:
        wait_for(process, "at")
        with pytest.raises(PlutoError, match=f"in use by process {process.pid} on"):
            world.cache(folder, world.listing(3, 60))
        process.kill()
    with started(folder.path, delay_s=0.001, part="1-of-2") as process:
        wait_for(process, "ready")
        world.cache(folder, world.listing(5, 20), part="2-of-2")
        process.communicate(timeout=60)
        assert process.returncode == 0
    folder.tidy()
    assert folder.index().count("future") == 3 * 60 + 2 * 20


def test_ctrl_c(tmp_path):
    """The first Ctrl-C ends the run after the scenario in work, sealed; the cache can be used, and the next run goes on."""
    folder = world.folder_at(tmp_path / "cache")
    with started(folder.path, delay_s=0.01) as process:
        wait_for(process, "at")
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, error
    assert "Ctrl-C again stops at once" in output
    count = len(folder.reader().keys)
    assert 0 < count < 180
    assert not list(folder.shards.unsealed.iterdir())
    assert world.cache(folder, world.listing(3, 60)).present == count


def test_ctrl_c_twice(tmp_path):
    """The second Ctrl-C does not wait for the scenario in work."""
    with started(tmp_path / "cache", logs=1, scenarios=4, delay_s=600) as process:
        wait_for(process, "in work")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=100)
    assert process.returncode == ExitCode.INTERRUPTED
    assert time.monotonic() - began < 300
