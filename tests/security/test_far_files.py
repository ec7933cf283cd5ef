"""Servers that somebody set up to hurt: names that lead elsewhere, sizes that are lies, files without end."""

import http.server
import json
import threading

import pytest

from pluto_basics.stores_files import FileShards
from pluto_core.errors import PlutoError
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.shards import RollingWriter
from pluto_core.pipeline.transport import INVENTORY, pull, push
from pluto_core.places.copies import Copies
from pluto_core.places.remote import RemotePath, download

fsspec = pytest.importorskip("fsspec")
NAMES = [
    "shards/../../x",
    "/etc/x",
    "shards//x",
    "shards/",
    "shards/./x",
    "shards/a\0b",
    "listings/..",
    "",
    "shards/" + "x" * 300,
    "../x",
]
SIZES = ["1e999", "-1", '"x"', "[]", "null"]


@pytest.fixture
def pushed(tmp_path):
    """A cache at a URL."""
    folder = CacheFolder(tmp_path / "cache", FileShards())
    folder.open_or_create(Fingerprint())
    writer = RollingWriter(folder.shards)
    writer.put(b"f|log/token@1", b"value")
    writer.seal()
    push(folder, f"file://{tmp_path}/away")
    return tmp_path / "away"


def refused(pushed, tmp_path):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(PlutoError) as caught:
        pull(f"file://{pushed}", CacheFolder(tmp_path / "there", FileShards()))
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all("there" in path.parts for path in after - before)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_out(pushed, tmp_path, name):
    """An inventory that names files outside of a cache, or none, is refused before anything is fetched."""
    inventory = json.loads((pushed / INVENTORY).read_text())
    inventory["files"][name] = {"size": 1, "digest": ""}
    (pushed / INVENTORY).write_text(json.dumps(inventory))
    assert "lies outside of a cache" in refused(pushed, tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_that_are_none(pushed, tmp_path, size):
    """A size that is no number of bytes is refused."""
    inventory = json.loads((pushed / INVENTORY).read_text())
    name = next(name for name in inventory["files"] if name.startswith("shards/"))
    inventory["files"][name]["size"] = "SIZE"
    (pushed / INVENTORY).write_text(json.dumps(inventory).replace('"SIZE"', size))
    refused(pushed, tmp_path)


def test_an_inventory_nested_without_end(pushed, tmp_path):
    """It is one message."""
    (pushed / INVENTORY).write_text("[" * 100_000)
    assert "cannot be read" in refused(pushed, tmp_path)


def test_a_hostile_manifest_there(pushed, tmp_path):
    """A manifest at a URL is read as carefully as one in a folder."""
    (pushed / "manifest.json").write_text('{"format": 2, "store": "files", "suffix": ".files", "fingerprint": {"builders": 5}}')
    assert "lacks something" in refused(pushed, tmp_path)


class Liar(http.server.BaseHTTPRequestHandler):
    """Says that a file has ten bytes, and sends blocks until nobody takes them."""

    sent = 0

    def do_HEAD(self):
        """Say how large it is."""
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()

    def do_GET(self):
        """Send without end."""
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        try:
            while type(self).sent < 1 << 30:
                self.wfile.write(bytes(1 << 20))
                type(self).sent += 1 << 20
        except OSError:
            pass

    def log_message(self, *_words):
        """Say nothing."""


@pytest.fixture
def liar():
    """The URL of a file on a server that lies."""
    pytest.importorskip("aiohttp")
    Liar.sent = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/log.db"
        server.shutdown()


def test_a_file_without_end(liar, tmp_path):
    """A server that sends more than it says is hung up on, at once and for good; nothing of it is kept."""
    with pytest.raises(PlutoError, match=r"log\.db: more than 10 bytes arrived; did it change"):
        download(liar, tmp_path / "file", 10)
    copies = Copies(tmp_path / "copies", 10**9)
    with pytest.raises(OSError, match="more than 10 bytes arrived"):
        RemotePath(url=liar, copies=copies, size=10, folder=False).local()
    assert not [path for path in (tmp_path / "copies").rglob("*") if path.is_file() and path.stat().st_size]
    assert Liar.sent < 1 << 28
