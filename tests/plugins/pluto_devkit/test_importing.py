import gzip
import json
import os
from contextlib import closing

import numpy as np
import pytest

from pluto_core.api import open_cache
from pluto_core.cli.main import outcome
from pluto_core.pipeline.listings import keys_of
from pluto_core.plugins import Catalogue
from pluto_core.run.caches import cache_at
from pluto_core.run.importing import take
from pluto_core.testing.equality import assert_same
from pluto_devkit import gzip_cache, trees
from pluto_devkit.config import ImporterConfig
from pluto_devkit.exporting import write_cache
from pluto_devkit.gzip_cache import Entry
from pluto_devkit.importing import GzipImporter

POSES = np.stack([np.arange(1.0, 17.0) * 5, np.zeros(16), np.zeros(16)], axis=1).astype(np.float32)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


def features(seed):
    """What two builders of the devkit and a target builder serialise to."""
    lanes = [np.full((length, 2, 2), seed, np.float32) for length in (3, 5)]
    agents = {"ego": [np.zeros((5, 3), np.float32)], "agents": [np.full((5, seed, 8), seed, np.float32)]}
    vector_map = {"coords": lanes, "multi_scale_connections": [{1: np.zeros((4, 2), np.int64)}]}
    return {"agents": agents, "vector_map": vector_map, "trajectory": {"data": POSES}}


@pytest.fixture
def archive(tmp_path):
    """A cache as the devkit leaves it: three logs of four scenarios, one of them incomplete."""
    root = tmp_path / "archive"
    for log in range(3):
        for number in range(4):
            entry = Entry(f"log-{log}", ("starting_left_turn", "unknown")[number % 2], f"{log:08x}{number:08x}")
            for name, data in features(number).items():
                if (log, number, name) != (2, 3, "vector_map"):
                    gzip_cache.write(root, entry, name, data)
    gzip_cache.write_metadata(root, [])
    return root


@pytest.fixture
def pluto(tmp_path, monkeypatch, capsys):
    """Run a command, and return what it printed, mistakes included."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))

    def run(*arguments, code=0):
        assert outcome([str(argument) for argument in arguments]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


def imported(path):
    """Every sample of a cache, by key."""
    reader = cache_at(path, Catalogue.load(environment={})).reader()
    keys = [key.decode() for key in reader.keys.array.tolist()]
    return dict(zip(keys, reader.get_many(keys), strict=True))


def tree_of(sample):
    """What a sample holds under the prefix `devkit`."""
    return trees.decode({key.partition("/")[2]: array for key, array in sample.items() if key.startswith("devkit/")})


def test_import(archive, tmp_path, pluto):
    """Every complete scenario is there with its features as they were; the command says how an experiment reads them."""
    told = pluto("cache", "import", archive, "--to", tmp_path / "cache")
    assert "11 of 11 samples imported" in told
    assert 'use = "devkit_imported"' in told
    assert "truth_steps = 16" in told
    found = imported(tmp_path / "cache")
    assert len(found) == 11
    tree = tree_of(found["log-1/0000000100000002@0"])
    assert_same(tree, {"scenario_type": "starting_left_turn", "features": features(2)})
    truth = found["log-1/0000000100000002@0"]
    np.testing.assert_allclose(truth["truth/trajectory"], POSES)
    assert truth["truth/speed"] == 10.0
    assert truth["truth/acceleration"] == 0.0


def test_export_is_what_was_imported(archive, tmp_path, pluto):
    """Written back as the devkit stores it, every file holds what it held before, and the list names all of them."""
    pluto("cache", "import", archive, "--to", tmp_path / "cache")
    with closing(open_cache(tmp_path / "cache")) as reader:
        assert write_cache(reader, tmp_path / "again") == 33
    whole = {entry: names for entry, names in gzip_cache.scan(archive) if len(names) == 3}
    assert dict(gzip_cache.scan(tmp_path / "again")) == whole
    for entry, names in whole.items():
        for name in names:
            assert_same(gzip_cache.read(tmp_path / "again", entry, name), gzip_cache.read(archive, entry, name))
    assert len(gzip_cache.read_metadata(tmp_path / "again")) == 33


def test_import_goes_on(archive, tmp_path, pluto):
    """A second import takes what came in between and nothing else; listings know the types of all."""
    pluto("cache", "import", archive, "--to", tmp_path / "cache")
    for name, data in features(1).items():
        gzip_cache.write(archive, Entry("log-9", "stationary", "f" * 16), name, data)
    told = json.loads(pluto("cache", "import", archive, "--to", tmp_path / "cache", "--json"))
    assert (told["imported"], told["present"], told["failed"]) == (1, 11, {})
    info = json.loads(pluto("cache", "info", tmp_path / "cache", "--json"))
    assert info["types"] == {"starting_left_turn": 6, "unknown": 5, "stationary": 1}


def test_interrupted_imports_go_on(archive, tmp_path):
    """What an import stored before it was stopped is there, and the next one takes the rest."""
    foreign = GzipImporter(ImporterConfig(), print).open(archive)
    seen = []

    def stop(progress):
        seen.append(progress.done)
        raise KeyboardInterrupt

    catalogue = Catalogue.load(environment={})
    settings = {"use": "files", "catalogue": catalogue, "note": lambda _text: None}
    with pytest.raises(KeyboardInterrupt):
        take(foreign, tmp_path / "cache", progress=stop, **settings)
    report = take(foreign, tmp_path / "cache", progress=lambda _progress: None, **settings)
    assert report.present + report.done == 11
    assert sorted(imported(tmp_path / "cache")) == sorted(key.decode() for key in keys_of(foreign.list()).tolist())


def test_hostile_and_damaged_files_are_left_out(archive, tmp_path, pluto):
    """A file that would run a command, and one that is cut off, are failures with a reason; the rest is imported."""
    entries = [entry for entry, names in gzip_cache.scan(archive) if len(names) == 3]
    hostile = gzip_cache.write(archive, entries[0], "agents", {"a": Hostile(tmp_path / "proof")}).with_suffix(".gz")
    cut = entries[5].folder(archive) / "trajectory.gz"
    cut.write_bytes(cut.read_bytes()[:-12])
    told = json.loads(pluto("cache", "import", archive, "--to", tmp_path / "cache", "--json"))
    assert told["imported"] == 9
    assert told["failed"] == {"damaged_value": 2}
    failures = (tmp_path / "cache" / "failures.jsonl").read_text()
    assert "is not allowed" in failures
    assert hostile.name in failures
    assert not (tmp_path / "proof").exists()


def test_fewer_names(archive, tmp_path, pluto):
    """Only the features asked for are taken, of every scenario that has them."""
    pluto("cache", "import", archive, "--to", tmp_path / "cache", "--set", 'names=["agents"]', "--set", "truth_interval_s=0.1")
    found = imported(tmp_path / "cache")
    assert len(found) == 12
    assert list(tree_of(next(iter(found.values())))["features"]) == ["agents"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (('names=["raster"]',), "there are: agents 12"),
        (('allow=["os:getcwd"]',), "no class"),
        (('allow=["nowhere:Feature"]',), "nowhere"),
        (("name=3", "nmaes=[]"), "nmaes"),
    ],
)
def test_mistakes_are_told(archive, tmp_path, pluto, settings, said):
    """Settings that cannot be are refused before anything is written."""
    given = [part for setting in settings for part in ("--set", setting)]
    assert said in pluto("cache", "import", archive, "--to", tmp_path / "cache", *given, code=1)
    assert not (tmp_path / "cache").exists()


def test_other_folders_are_refused(tmp_path, pluto):
    """A folder that nobody knows is named, with what could have been read."""
    (tmp_path / "empty").mkdir()
    assert "devkit_gzip" in pluto("cache", "import", tmp_path / "empty", "--to", tmp_path / "cache", code=1)


def test_files_are_what_the_devkit_wrote(archive):
    """The archive of these tests is gzip around pickles, four levels down, as the devkit's own."""
    files = sorted(archive.glob("*/*/*/*.gz"))
    assert len(files) == 35
    assert all(gzip.decompress(path.read_bytes())[:1] == b"\x80" for path in files)
