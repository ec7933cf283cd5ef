"""`pluto cache`: every command on a real cache, what it says and how it ends."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_experiment
from cache_experiment import told

from pluto_core.cli import cache_text
from pluto_core.errors import ExitCode
from pluto_lmdb.shard import LmdbShards


def test_every_command_has_help(say):
    """Every command explains itself."""
    for name in ("info", "verify", "export", "import", "retry", "compact", "rm"):
        assert f"Usage: pluto cache {name}" in say("cache", name, "--help").ok()


def test_info(cached):
    """`info` counts samples by type and builder, failures by reason, bytes and shards, for people and for programs."""
    text = cached("cache", "info", "cache").ok()
    for part in ("24 samples of 3 logs", "in 1 shard\n", "mood", "place", "type-1", "town", "no_route", "town/1"):
        assert part in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    found = told(cached("cache", "info", "cache", "--json"))
    assert (found["samples"], found["store"], found["shards"], found["failures"]) == (24, "lmdb", 1, {"no_route": 6})
    assert found["builders"]["mood"] == {"samples": 24, "version": "1", "arrays": 1, "failed": 6}
    assert found["builders"]["place"]["samples"] == 30
    assert sum(found["types"].values()) == 24


@pytest.mark.parametrize("command", ["info", "verify", "compact", "rm"])
def test_what_is_no_cache(say, here, command):
    """A folder that is not there and one that is no cache are refused by name, and nothing in them is touched."""
    (here / "photos").mkdir()
    (here / "photos" / "dear.jpg").write_bytes(b"dear")
    for name in ("nowhere", "photos"):
        outcome = say("cache", command, name, *(["--yes"] if command == "rm" else []))
        assert outcome.code == ExitCode.FAILED
        assert outcome.err.startswith("error: ")
        assert name in outcome.err
    assert (here / "photos" / "dear.jpg").read_bytes() == b"dear"
    assert not (here / "nowhere").exists()


def test_verify(cached):
    """Nothing is wrong with a whole cache, also compared with samples that are computed again."""
    assert "54 values read\nnothing is wrong" in cached("cache", "verify", "cache").ok()
    found = told(cached("cache", "verify", "cache", "--recompute", "5", "--experiment", "small.toml", "--json"))
    assert (found["ok"], found["values"], found["recomputed"], found["different"]) == (True, 54, 5, [])


def test_verify_says_what_it_lacks(cached, here):
    """`--recompute` goes with `--experiment`, and with one that would compute the same."""
    assert cached("cache", "verify", "cache", "--recompute", "5").code == ExitCode.USAGE
    outcome = cached("cache", "verify", "cache", "--recompute", "5", "--experiment", "small.toml", "--set", "source.edition=2")
    assert outcome.code == ExitCode.FAILED
    assert "source settings, edition: 1 in the cache, 2 asked" in outcome.err
    text = cache_experiment.EXPERIMENT.replace('use = "town"', 'use = "town"\nedition = 13')
    cache_experiment.write(here, text)
    outcome = cached("cache", "verify", "cache", "--recompute", "5", "--experiment", "small.toml")
    assert "thirteen is refused" in outcome.err


def test_verify_finds_changed_code(cached, monkeypatch):
    """Samples that come out otherwise than they are stored are named, and the command ends with 1."""
    monkeypatch.setattr("toy_town.Place.build", lambda _self, scene: {"place": scene.ego.position + 1})
    outcome = cached("cache", "verify", "cache", "--recompute", "3", "--experiment", "small.toml")
    assert outcome.code == ExitCode.FAILED
    assert "3 samples computed again, 3 differences" in outcome.out
    assert "differs: place log-0/" in outcome.out
    assert "--fresh" in outcome.out


def sole_shard(here):
    (shard,) = (here / "cache" / "shards").iterdir()
    return shard


def replaced(path, content):
    path.with_name("beside").write_bytes(content)
    path.with_name("beside").replace(path)


def test_verify_finds_damage(cached, here):
    """A damaged value is found and left out, the next run computes it again, and then nothing is wrong."""
    shard = sole_shard(here)
    key = b"place|log-1/0000000100000003@1300000"
    value = LmdbShards().open(shard).get(key)
    replaced(shard, shard.read_bytes().replace(value, value[:-1] + bytes([value[-1] ^ 4])))
    outcome = cached("cache", "verify", "cache")
    assert outcome.code == ExitCode.FAILED
    assert f"1 damaged in {shard.name}" in outcome.out
    assert "computes again" in outcome.out
    assert "1 computed" in cached("run", "small.toml").ok()
    assert told(cached("cache", "verify", "cache", "--json"))["values"] == 54


def test_verify_says_what_was_not_repaired():
    """Of a cache that cannot be written, what was found is told, and that it is as it was."""
    found = {"values": 54, "recomputed": 0, "damaged": {"a.lmdb": 1}, "reasons": {}, "unreadable": {}, "lost": 0}
    told = cache_text.verified(found | {"different": [], "ok": False, "repaired": False})
    assert told.splitlines()[1:] == [
        "  1 damaged in a.lmdb",
        "the cache cannot be written here: verify it where it can, to repair it",
    ]


@pytest.mark.parametrize("how", ["gone", "noise", "flipped"])
def test_verify_repairs_the_index(cached, here, how):
    """A missing or damaged index is made again from the shards."""
    index = here / "cache" / "index.bin"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 1
    index.unlink()
    if how != "gone":
        index.write_bytes(b"noise" if how == "noise" else content)
    assert told(cached("cache", "verify", "cache", "--json"))["ok"]
    assert index.stat().st_size == len(content)
    assert "nothing recomputed" in cached("run", "small.toml").ok()


def test_a_shard_that_is_gone(cached, here):
    """A shard that somebody deleted is noticed: `verify` counts what is lost, and the next run computes it."""
    sole_shard(here).unlink()
    outcome = cached("cache", "verify", "cache")
    assert outcome.code == ExitCode.FAILED
    assert "54 values that the index listed are gone" in outcome.out
    assert "30 computed" in cached("run", "small.toml").ok()
    assert told(cached("cache", "info", "cache", "--json"))["builders"]["place"]["samples"] == 30


def test_a_shard_that_was_cut_off(cached, here):
    """A shard that lost its end is moved aside with the reason, `info` says so, and the next run computes it again."""
    shard = sole_shard(here)
    replaced(shard, shard.read_bytes()[:5000])
    outcome = cached("cache", "verify", "cache")
    assert outcome.code == ExitCode.FAILED
    assert f"{shard.name} cannot be read" in outcome.out
    assert "cut off" in outcome.out
    assert "1 shard that cannot be read: in damaged/" in cached("cache", "info", "cache").ok()
    cached("run", "small.toml").ok()
    assert told(cached("cache", "verify", "cache", "--json"))["values"] == 54


def test_export(cached, here):
    """`export` writes one file a sample, named by its token, keys and dtypes as cached."""
    found = told(cached("cache", "export", "cache", "--to", "out", "--json"))
    assert found["samples"] == 24
    files = sorted((here / "out").iterdir())
    assert len(files) == 24
    assert files[0].name == "0000000000000001.npz"
    with np.load(files[0]) as sample:
        assert {name: (sample[name].shape, sample[name].dtype.name) for name in sample.files} == {
            "place": ((21, 2), "float64"),
            "mood": ((), "float32"),
        }
        assert sample["mood"] == 1
    assert "24 samples written to out" in cached("cache", "export", "cache", "--to", "out").ok()


def test_export_where_nothing_can_be_written(cached, here):
    """A target that is a file is one message."""
    (here / "taken").write_text("mine")
    outcome = cached("cache", "export", "cache", "--to", "taken")
    assert outcome.code == ExitCode.FAILED
    assert outcome.err.startswith("error: cannot write to")


def test_import(cached, here):
    """A cache is copied between stores and back, value by value; what is there is kept; the copy serves as the cache."""
    assert (
        f"54 values copied to {here / 'copy'} (files)"
        in cached("cache", "import", "cache", "--to", "copy", "--use", "files").ok()
    )
    assert "0 values copied" in cached("cache", "import", "cache", "--to", "copy").ok()
    assert f"54 values copied to {here / 'back'} (lmdb)" in cached("cache", "import", "copy", "--to", "back").ok()
    for name, store in (("copy", "files"), ("back", "lmdb")):
        assert told(cached("cache", "verify", name, "--json"))["values"] == 54
        settings = ("--set", f"cache.path={name}", "--set", f"cache.use={store}")
        assert "24 of 30 scenarios were there" in cached("run", "small.toml", *settings).ok()
    for name in ("cache", "back"):
        cached("cache", "export", name, "--to", f"{name}.npz").ok()
    for path in sorted((here / "cache.npz").iterdir()):
        with np.load(path) as one, np.load(here / "back.npz" / path.name) as other:
            assert all(np.array_equal(one[name], other[name]) for name in one.files)


def test_import_says_what_cannot_be(cached):
    """Into itself, into memory, into a cache of another store, and into one of other samples: refused with the way on."""
    assert "are the same cache" in cached("cache", "import", "cache", "--to", "cache").err
    assert "ends with its process" in cached("cache", "import", "cache", "--to", "other", "--use", "memory").err
    cached("cache", "import", "cache", "--to", "copy", "--use", "files").ok()
    assert 'write [cache] use = "files"' in cached("cache", "import", "cache", "--to", "copy", "--use", "lmdb").err
    cached("run", "small.toml", "--set", "cache.path=other", "--set", "source.edition=2").ok()
    outcome = cached("cache", "import", "cache", "--to", "other")
    assert outcome.code == ExitCode.FAILED
    assert "made from something else" in outcome.err
    assert "no such" not in outcome.err


def test_retry(cached, here):
    """`retry` computes what failed and nothing else; a cured cause leaves no failure."""
    outcome = cached("cache", "retry", "small.toml")
    assert "0 of 6 scenarios that had failed are there now" in outcome.ok()
    assert "6 failed again: no_route 6" in outcome.out
    (here / "cured").touch()
    assert "nothing recomputed" in cached("run", "small.toml").ok()
    found = told(cached("cache", "retry", "small.toml", "--json"))
    assert (found["failed_before"], found["done"], found["failed"]) == (6, 6, {})
    assert "no scenario of the filter failed" in cached("cache", "retry", "small.toml").ok()
    assert told(cached("cache", "info", "cache", "--json"))["failures"] == {}


def test_retry_without_a_cache(say, here):
    """Before the first run there is nothing to retry, and no cache is made."""
    assert "is no cache" in say("cache", "retry", "small.toml").err
    assert not (here / "cache").exists()


def test_compact(cached, here):
    """`compact` joins small shards and drops dead values; every sample stays."""
    (here / "cured").touch()
    cached("cache", "retry", "small.toml").ok()
    assert len(list((here / "cache" / "shards").iterdir())) == 2
    assert "2 shards rewritten; 1 shard now" in cached("cache", "compact", "cache").ok()
    assert "nothing to compact: 1 shard" in cached("cache", "compact", "cache").ok()
    assert told(cached("cache", "verify", "cache", "--json"))["values"] == 60
    assert "nothing recomputed" in cached("run", "small.toml").ok()


def test_rm(cached, here):
    """`rm` asks where somebody can answer, refuses where nobody can, and leaves what is no part of the cache."""
    outcome = cached("cache", "rm", "cache")
    assert outcome.code == ExitCode.FAILED
    assert "say --yes" in outcome.err
    code, shown = cache_experiment.in_terminal(here, "cache", "rm", "cache", answer=b"n\n")
    assert (code, "nothing was deleted" in shown, "24 samples" in shown) == (ExitCode.FAILED, True, True)
    assert (here / "cache" / "manifest.json").exists()
    (here / "cache" / "notes.txt").write_text("mine")
    found = told(cached("cache", "rm", "cache", "--yes", "--json"))
    assert found["left"] == ["notes.txt"]
    assert [path.name for path in (here / "cache").iterdir()] == ["notes.txt"]
    (here / "cache" / "notes.txt").unlink()
    cached("run", "small.toml").ok()
    code, shown = cache_experiment.in_terminal(here, "cache", "rm", "cache", answer=b"y\n")
    assert (code, "removed" in shown) == (0, True)
    assert not (here / "cache").exists()


@pytest.mark.parametrize("text", ["{", '{"format": 99}'])
def test_rm_of_a_cache_that_cannot_be_read(cached, here, text):
    """A cache of another version, or whose manifest is broken, can still be removed."""
    manifest = here / "cache" / "manifest.json"
    manifest.write_text(text)
    assert "manifest" in cached("cache", "info", "cache").err or "format 99" in cached("cache", "info", "cache").err
    assert "removed" in cached("cache", "rm", "cache", "--yes").ok()
    assert not (here / "cache").exists()


def test_a_cache_of_another_version(cached, here):
    """A cache that another version wrote is refused by its number, by every command, with the ways on; nothing is lost."""
    manifest = here / "cache" / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(before), "format": 99}))
    for command in (("run", "small.toml"), ("cache", "info", "cache"), ("cache", "export", "cache", "--to", "out")):
        outcome = cached(*command)
        assert outcome.code == ExitCode.FAILED
        assert "has format 99, this program reads format 2" in outcome.err
        assert "--fresh" in outcome.err
    assert "would be refused: the cache" in cached("plan", "small.toml").out
    manifest.write_text(before)
    assert "nothing recomputed" in cached("run", "small.toml").ok()


def test_a_changed_setting(cached):
    """A cache that was made with another setting is refused with the difference; `--fresh` makes it anew."""
    change = ("--set", "source.edition=2")
    outcome = cached("run", "small.toml", *change)
    assert outcome.code == ExitCode.FAILED
    assert "source settings, edition: 1 in the cache, 2 asked" in outcome.err
    assert told(cached("cache", "info", "cache", "--json"))["builders"]["place"]["samples"] == 30
    assert "24 computed" in cached("run", "small.toml", *change, "--fresh", "--yes").ok()


def test_nothing_is_left_open(cached):
    """Commands leave no file of the cache open."""
    cached("cache", "verify", "cache").ok()
    cached("cache", "export", "cache", "--to", "out").ok()
    open_files = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [name for name in open_files if name.endswith(".owner") or "/locks/" in name]
