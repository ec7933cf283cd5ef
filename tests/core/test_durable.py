"""Files that are whole or absent, and what killed writers of them leave."""

import errno
import os
import stat
import time

import pytest

from pluto_core.errors import PlutoError
from pluto_core.pipeline.durable import explained, leftovers, write_file
from pluto_core.run.folders import claim, existing


def left(path, *, age_s):
    """Leave what a writer of a file leaves that was killed some time ago."""
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    beside.write_bytes(b"half")
    os.utime(beside, (time.time() - age_s,) * 2)
    return beside


def test_what_killed_writers_left_goes_with_the_next_write(tmp_path):
    """Files of writers that died an hour ago are removed; those of writers that may live, and other files, are not."""
    path = tmp_path / "index.bin"
    dead, alive = left(path, age_s=4000), left(path, age_s=1000)
    other = left(tmp_path / "other.bin", age_s=4000)
    write_file(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert not dead.exists()
    assert leftovers(path) == [alive]
    assert other.exists()


def test_a_writer_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    """A disk that refuses costs neither what was there nor a stray file."""
    path = tmp_path / "state.json"
    write_file(path, b"old")

    def full(_descriptor):
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_file(path, b"new")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch, code):
    """Some of networks and clouds cannot; files are written there all the same."""
    sync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    write_file(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("code", "room"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, False), (errno.EACCES, False)]
)
def test_what_to_do_when_the_disk_refuses(tmp_path, code, room):
    """Room is asked for where that helps."""
    with pytest.raises(PlutoError, match="choose another path") as caught, explained(tmp_path):
        raise OSError(code, os.strerror(code))
    assert ("make room" in str(caught.value)) is room


def test_a_state_that_cannot_be_written_is_a_message(tmp_path, monkeypatch):
    """A disk that is full when a run notes how far it is names the file, and is no bug."""
    run = claim(tmp_path, "", {"seed": 0}, fresh=False, again=False)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PlutoError, match=r"cannot write to .*state\.json: no space left"):
        run.close("finished")


def test_the_state_of_a_run_leaves_nothing_behind(tmp_path):
    """What a run leaves that was killed while it noted its state is gone when the run goes on."""
    run = claim(tmp_path, "", {"seed": 0}, fresh=False, again=False)
    left(run.path / "state.json", age_s=4000)
    again = claim(tmp_path, "", {"seed": 0}, fresh=False, again=False)
    assert again.path == run.path
    assert again.continued
    assert sorted(entry.name for entry in run.path.iterdir()) == ["run.toml", "state.json"]
    assert [one.status for one in existing(tmp_path)] == ["running"]


def test_a_run_goes_on_where_its_local_plugins_moved(tmp_path):
    """Where a project lies on a machine decides nothing about which runs continue each other; what it sets does."""
    told = {"seed": 0, "plugins": ["mine"], "plugin_folders": ["/home/me/project"]}
    run = claim(tmp_path, "", told, fresh=False, again=False)
    assert claim(tmp_path, "", {**told, "plugin_folders": ["/project"]}, fresh=False, again=False).path == run.path
    assert claim(tmp_path, "", {**told, "seed": 1}, fresh=False, again=False).path != run.path
