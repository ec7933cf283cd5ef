"""What builders ask of their samples when these are read again."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.arrays import join
from pluto_core.component import Component, hookimpl
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline import codec, maintenance
from pluto_core.pipeline.fingerprint import Fingerprint, described
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.manifest import Manifest
from pluto_core.plugins import Catalogue
from pluto_core.run.caches import stored_builders
from pluto_core.scene import Window
from pluto_core.settings import LoaderSettings
from pluto_planner import hooks as planner
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

TAGS = ("agents", "future")
FAR = np.full((21, 2), 1e12)


class Strict(world.Future):
    """A target that knows what cannot be."""

    def check(self, sample):
        """Refuse what is too far away."""
        if np.abs(sample["future"]).max() > 1e11:
            raise SampleError(Reason.OUT_OF_RANGE, "future reaches beyond the moon")


def strict():
    """Return the builders, one of which offers a check."""
    return [("agents", world.Agents()), ("future", Strict())]


@pytest.fixture
def folder(tmp_path):
    """Return a cache with a whole value that its builder could not have made, of the scenario `bad`."""
    found = world.folder_at(tmp_path / "cache")
    wanted = world.listing(1, 12)
    world.prepared(found)
    found.save_listing("abc", wanted, {})
    world.cache(found, wanted)
    return found


@pytest.fixture
def bad(folder):
    """Return the key of a scenario whose value is whole, and not one that its builder could have made."""
    scenario = folder.reader().keys[3]
    key = b"future|" + scenario.encode()
    shard = folder.shards.create()
    shard.put(key, codec.encode({"future": FAR}, world.Future.spec, key=key))
    shard.name = "99" + shard.name
    shard.seal()
    return scenario


def loader(folder, **settings):
    """Return the loader of all samples, as an experiment makes it."""
    reader = folder.reader(TAGS, verify=settings.get("verify", False), make_builders=strict)
    spec = join((tag, builder.spec) for tag, builder in strict())
    given = LoaderSettings(**{"batch_size": 4, "shuffle": False, **settings})
    return BatchLoader(reader, reader.listing, spec=spec, settings=given, part="train", seed=0)


def test_a_reader_asks_builders_where_it_verifies(folder, bad):
    """Then a sample is refused with the builder's reason, whatever of it is wanted; without `verify` nobody is asked."""
    reader = pickle.loads(pickle.dumps(folder.reader(TAGS, verify=True, make_builders=strict)))  # noqa: S301 -- ours
    for names in (None, ["future"], ["map", "future"]):
        with pytest.raises(SampleError, match="beyond the moon") as refused:
            reader.get_many([bad], names)
        assert refused.value.reason is Reason.OUT_OF_RANGE
        assert bad in refused.value.detail
    good = [key for key in reader.keys if key != bad]
    assert [set(sample) for sample in reader.get_many(good, ["future"])] == [{"future"}] * 11
    assert folder.reader(TAGS, make_builders=strict).get_many([bad])[0]["future"].max() == 1e12


def test_loading_replaces_it_and_says_why(folder, bad):
    """With `replace` another sample stands in, recorded with the reason; by default loading stops and says the sample."""
    made = loader(folder, verify=True, on_damaged="replace")
    keys = [one.key for batch in made.batches(0) for one in batch.ids]
    assert len(keys) == 12
    assert bad not in keys
    assert made.replaced[bad].reason is Reason.OUT_OF_RANGE
    with pytest.raises(PlutoError, match=f"sample {bad}: out_of_range: .*beyond the moon"):
        list(loader(folder, verify=True).batches(0))
    assert bad in [one.key for batch in loader(folder).batches(0) for one in batch.ids]


def test_verify_asks_builders(folder, bad):
    """`pluto cache verify` leaves it out and records the reason; what is right is found, or computed by the next cache step."""
    assert maintenance.verify(folder).ok
    report = maintenance.verify(folder, make_builders=strict)
    assert dict(report.reasons) == {"out_of_range": 1}
    (line,) = (folder.path / "damaged.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["key"], row["reason"], row["detail"]) == (f"future|{bad}", "out_of_range", "future reaches beyond the moon")
    assert world.cache(folder, world.listing(1, 12)).present == 12
    assert maintenance.verify(folder, make_builders=strict).ok
    assert len(list(loader(folder, verify=True).batches(0))) == 3


def manifest_of(**builders):
    """Return the manifest of a cache that these builders made."""
    told = {tag: described(builder, builder.config) for tag, builder in builders.items()}
    return Manifest(store="lmdb", suffix=".lmdb", fingerprint=Fingerprint(builders=told))


def test_builders_are_made_again_from_a_manifest():
    """Those whose version, settings, window and arrays are the same; others are left out."""
    catalogue = Catalogue.of(planner)
    features = PlutoFeatures(PlutoFeaturesConfig(radius=60.0))
    manifest = manifest_of(pluto=features)
    found = stored_builders(manifest, catalogue)
    assert found.tags == ["pluto"]
    assert found()[0][1].config == features.config
    features.version = "0"
    assert stored_builders(manifest_of(pluto=features), catalogue).tags == []
    features.version, features.window = "1", Window(history_s=7.0, future_s=0.0)
    assert stored_builders(manifest_of(pluto=features), catalogue).tags == []
    assert stored_builders(manifest, Catalogue.of(Nobody)).tags == []


class Nobody:
    """A plugin with a builder of the same name and other settings."""

    @staticmethod
    @hookimpl
    def pluto_register_features():
        """Offer it."""
        return [
            Component(
                name="pluto",
                factory="pluto_planner.features:make",
                config="pluto_core.settings:LoaderSettings",
                summary="Another thing.",
            )
        ]
