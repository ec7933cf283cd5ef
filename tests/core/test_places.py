"""Places behind URLs: finding, fetching once, staying within a limit, and trying again."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pluto_core.errors import PlutoError
from pluto_core.places import remote
from pluto_core.places.copies import GRACE_S, Copies
from pluto_core.places.remote import RemotePath, download, heads, is_url, local, place, upload

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")


@pytest.fixture
def copies(tmp_path):
    """Return an empty folder of copies, with room for 1 kB."""
    return Copies(tmp_path / "copies", 1000)


@pytest.fixture(params=["memory", "file"])
def shelf(request, tmp_path, copies):
    """Return a folder behind a URL with `a.db`, `b.txt` and `deep/er/c.db`."""
    url = f"memory://shelf-{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/shelf"
    system, path = fsspec.core.url_to_fs(url)
    for name, data in (("a.db", b"first file"), ("b.txt", b"second"), ("deep/er/c.db", b"third")):
        system.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        system.pipe_file(f"{path}/{name}", data)
    yield RemotePath(url=url, copies=copies)
    system.rm(path, recursive=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://a/b", True), ("memory://x", True), ("/a/b", False), ("a:b", False), ("C://x", False), ("", False), ("://", False)],
)
def test_what_is_a_url(text, expected, copies):
    """A scheme of two letters or more, then `://`; everything else is a path here."""
    assert is_url(text) is expected
    assert isinstance(place(text, copies), RemotePath) is expected


def test_folders_are_listed(shelf):
    """Names in order, with sizes and kinds, and patterns that stay within a part."""
    assert [one.name for one in shelf.iterdir()] == ["a.db", "b.txt", "deep"]
    assert [(one.is_dir(), one.is_file(), one.size) for one in shelf.iterdir()] == [
        (False, True, 10),
        (False, True, 6),
        (True, False, None),
    ]
    assert [one.name for one in shelf.glob("*.db")] == ["a.db"]
    assert [one.parts[-3:] for one in shelf.glob("*/*/c.db")] == [("deep", "er", "c.db")]
    assert list(shelf.glob("*/*/d.db")) == []
    assert str(shelf / "deep") == f"{shelf.url}/deep"


def test_what_is_asked_of_single_paths(shelf):
    """Files, folders and nothing are told apart, and a path knows those above it."""
    assert [(one.is_dir(), one.is_file()) for one in (shelf, shelf / "a.db", shelf / "none")] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert (shelf / "deep" / "er").parents[1] == shelf
    assert (shelf / "a.db").stem == "a"


def test_a_file_is_fetched_once(shelf, copies, monkeypatch):
    """Its bytes are those behind the URL, under its own name; the second time nothing is fetched."""
    file = (shelf / "a.db").known()
    first = file.local()
    assert first.read_bytes() == b"first file"
    assert first.name == "a.db"
    monkeypatch.setattr(Copies, "_fetch", None)
    assert file.local() == first == local(file)
    assert local(Path("x")) == Path("x")
    assert not list(copies.folder.rglob("*.part"))


def test_a_changed_file_is_fetched_anew(shelf):
    """The copy of what was there before is not taken for it."""
    assert (shelf / "a.db").read_text() == "first file"
    time.sleep(0.01)
    system, path = fsspec.core.url_to_fs(shelf.url)
    system.pipe_file(f"{path}/a.db", b"other file")
    assert (shelf / "a.db").read_text() == "other file"


def test_heads_of_many_files(shelf):
    """First bytes come in the order asked for; short files give what they have."""
    assert heads([shelf / "b.txt", shelf / "deep/er/c.db", shelf / "a.db"], 6) == [b"second", b"third", b"first "]
    assert heads([], 6) == []


def test_upload_and_download(shelf, tmp_path):
    """Folders are made on the way; what is there is replaced."""
    (tmp_path / "up").write_bytes(b"sent")
    upload(tmp_path / "up", f"{shelf.url}/new/folder/up")
    upload(tmp_path / "up", f"{shelf.url}/a.db")
    for name in ("new/folder/up", "a.db"):
        download(f"{shelf.url}/{name}", tmp_path / "down", 1 << 20)
        assert (tmp_path / "down").read_bytes() == b"sent"


def test_what_is_not_there(shelf, tmp_path):
    """It is named, at once."""
    with pytest.raises(FileNotFoundError):
        (shelf / "none").local()
    with pytest.raises(PlutoError, match="none cannot be reached"):
        list((shelf / "none").iterdir())
    with pytest.raises(PlutoError, match="none cannot be reached"):
        download(f"{shelf.url}/none", tmp_path / "down", 1 << 20)


def test_an_unknown_scheme_names_the_extra(copies):
    """The message says what to install."""
    with pytest.raises(PlutoError, match=r"pluto-framework\[remote\]"):
        RemotePath(url="nosuchscheme://a", copies=copies).is_dir()


class Flaky:
    """A file system that fails some times before it works."""

    def __init__(self, failures, error):
        self.left = failures
        self.error = error
        self.calls = 0

    def get_file(self, _path, target, callback=None):
        """Fail, or put four bytes at `target`."""
        self.calls += 1
        if self.left:
            self.left -= 1
            Path(target).write_bytes(b"te")
            if self.error is not None:
                raise self.error
            return
        Path(target).write_bytes(b"text")


@pytest.fixture
def flaky(monkeypatch):
    """Return a function that puts a failing file system behind all URLs, without waits."""

    def install(failures, error):
        system = Flaky(failures, error)
        monkeypatch.setattr(remote, "_system", lambda url: (system, url))
        monkeypatch.setattr(remote, "DELAYS_S", (0.0,) * len(remote.DELAYS_S))
        return system

    return install


@pytest.mark.parametrize("error", [ConnectionResetError("lost"), RuntimeError("of the library's own"), TimeoutError(), None])
def test_what_may_pass_is_tried_again(copies, flaky, error):
    """A lost connection, or fewer bytes than there are, costs another attempt; nothing half is ever seen."""
    system = flaky(len(remote.DELAYS_S), error)
    file = RemotePath(url="x://y/text.db", copies=copies, size=4, folder=False)
    assert file.local().read_bytes() == b"text"
    assert system.calls == len(remote.DELAYS_S) + 1


@pytest.mark.parametrize(
    ("error", "calls"),
    [(ConnectionResetError("lost"), len(remote.DELAYS_S) + 1), (PermissionError("no"), 1), (FileNotFoundError("gone"), 1)],
)
def test_what_does_not_pass_is_an_error(copies, flaky, error, calls):
    """It is raised after the last attempt, what cannot change after the first; nothing is left behind."""
    system = flaky(99, error)
    with pytest.raises(type(error)):
        RemotePath(url="x://y/text.db", copies=copies, size=4, folder=False).local()
    assert system.calls == calls
    assert not [path for path in copies.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def write(data):
    """Return a function that puts data at a path."""
    return lambda path: path.write_bytes(data)


def age(path, seconds):
    """Say that a copy was last used so long ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_least_recently_used_copies_make_room(copies):
    """What was used lately stays, even where the limit is passed; the rest goes, the oldest first."""
    paths = [copies.get(f"x://{name}", 400, "", write(b"x" * 400)) for name in "abc"]
    assert all(path.exists() for path in paths)
    for path, seconds in zip(paths, (2 * GRACE_S, 3 * GRACE_S, 4 * GRACE_S), strict=True):
        age(path, seconds)
    copies.get("x://c", 400, "", write(b""))
    copies.get("x://d", 400, "", write(b"x" * 400))
    assert [path.exists() for path in paths] == [False, False, True]
    age(paths[2], 2 * GRACE_S)
    copies.get("x://e", 1, "", write(b"x"))
    assert paths[2].exists()


def test_abandoned_parts_are_removed(copies):
    """What a killed process left goes after an hour, what is being fetched stays."""
    folder = copies.folder / "key"
    folder.mkdir(parents=True)
    for name, seconds in (("old.part", 4000), ("new.part", 1000)):
        (folder / name).write_bytes(b"x" * 2000)
        age(folder / name, seconds)
    copies.make_room(1)
    assert [path.name for path in folder.iterdir()] == ["new.part"]


def test_a_full_disk_is_told(copies):
    """Before anything is fetched."""
    with pytest.raises(OSError, match="no room"):
        copies.get("x://y", 1 << 60, "", write(b""))


def fetch_slowly(copies, seen, connection):
    """Get one file; note each fetch in a file."""

    def fetch(path):
        with seen.open("a", encoding="ascii") as stream:
            stream.write("x")
        time.sleep(0.2)
        path.write_bytes(b"data")

    connection.send(copies.get("x://y", 4, "", fetch).read_bytes())


def test_processes_fetch_a_file_once(copies, tmp_path):
    """Those that come later wait for the first one."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(4)]
    workers = [context.Process(target=fetch_slowly, args=(copies, tmp_path / "seen", sender)) for _, sender in pipes]
    for worker in workers:
        worker.start()
    assert [receiver.recv() for receiver, _ in pipes] == [b"data"] * 4
    for worker in workers:
        worker.join()
    assert (tmp_path / "seen").read_text(encoding="ascii") == "x"


def die_while_fetching(copies):
    """Write half a file, then be killed."""

    def fetch(path):
        path.write_bytes(b"da")
        os.kill(os.getpid(), signal.SIGKILL)

    copies.get("x://y", 4, "", fetch)


def test_a_killed_process_leaves_no_copy(copies):
    """What it had fetched is not taken for the file, its lock is free, and the next one fetches all of it."""
    worker = multiprocessing.get_context("fork").Process(target=die_while_fetching, args=(copies,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert copies.get("x://y", 4, "", write(b"data")).read_bytes() == b"data"


def test_fsspec_is_imported_with_the_first_url():
    """Without URLs, neither finding nor reading data loads it."""
    code = "import sys, pluto_nuplan.source, pluto_core.pipeline.transport; assert 'fsspec' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
