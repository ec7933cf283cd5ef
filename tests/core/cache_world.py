"""A make-believe source with two builders, for tests of the cache; as a script, a run of the cache step.

python cache_world.py CACHE STORE LOGS SCENARIOS [DELAY_S] [KEY=VALUE ...]
"""

import hashlib
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np

from pluto_basics.stores_files import FileShards
from pluto_basics.stores_memory import MemoryShards
from pluto_basics.workers.processes import Processes
from pluto_basics.workers.threads import Threads
from pluto_core.arrays import ArrayClass, ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.pipeline import caching, session
from pluto_core.pipeline.caching import cache_scenarios
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.scene import Ego, Lights, ScenarioId, Scene, StaticObjects, Window, empty_tracks
from pluto_lmdb.shard import LmdbShards

STORES = {"lmdb": LmdbShards, "files": FileShards, "memory": MemoryShards}


def scene_of(scenario, window):
    """Return an empty road; the ego vehicle stands where its id says."""
    steps = window.steps
    seed = int.from_bytes(hashlib.blake2b(scenario.key.encode(), digest_size=4).digest(), "little")
    ego = Ego(
        position=np.full((steps, 2), float(seed)),
        heading=np.zeros(steps),
        velocity=np.zeros((steps, 2)),
        acceleration=np.zeros((steps, 2)),
        steering_angle=np.zeros(steps),
        yaw_rate=np.zeros(steps),
        valid=np.ones(steps, bool),
        acceleration_valid=np.zeros(steps, bool),
        steering_valid=np.zeros(steps, bool),
    )
    nothing = StaticObjects(
        token=np.zeros(0, "S1"),
        category=np.zeros(0, np.int8),
        position=np.zeros((0, 2)),
        heading=np.zeros(0),
        size=np.zeros((0, 2)),
    )
    dark = Lights(step=np.zeros(0, np.int64), connector_id=np.zeros(0, np.int64), status=np.zeros(0, np.int8))
    return Scene(
        id=scenario, window=window, times_us=np.arange(steps), ego=ego, tracks=empty_tracks(steps), static_objects=nothing,
        lights=dark, route=np.zeros(0, np.int64), goal=None, map=None,
    )  # fmt: skip


@attrs.frozen
class Source:
    """Scenarios whose token says what goes wrong with them."""

    delay_s: float = 0.0
    reader: str = "world/1"

    def load_many(self, scenarios, window):
        """Yield scenes; a token with `lost` is an error, one with `broken` ends the generator with an exception."""
        assert len({scenario.log for scenario in scenarios}) == 1
        for scenario in scenarios:
            if self.delay_s > 1:
                print("in work", flush=True)  # noqa: T201 -- for whoever waits for it
            time.sleep(self.delay_s)
            if "broken" in scenario.token:
                raise ZeroDivisionError(scenario.token)
            if "lost" in scenario.token:
                yield SampleError(Reason.UNREADABLE_LOG, "the log is cut off")
            else:
                yield scene_of(scenario, window)

    def identity(self):
        """Return what the source is."""
        return Identity(reader=self.reader, settings={}, dataset={"a.db": 7})


class Agents:
    """Features: ragged arrays and a raster, all from the scene."""

    version = "1"
    window: ClassVar = Window(history_s=1.0, future_s=0.0)
    spec: ClassVar = {
        "agent/position": ArraySpec(dims=("agent", 11, 2), dtype="float64", at_rest="float32"),
        "agent/valid": ArraySpec(dims=("agent", 11), dtype="bool"),
        "map": ArraySpec(dims=(64, 64), dtype="float32", at_rest="float16", array_class=ArrayClass.RASTER),
    }

    def build(self, scene):
        """Return arrays; a token with `nan` gives one that is not finite, `boom` raises, `hog` takes four gigabytes."""
        assert scene.window == self.window
        seed = int(scene.ego.position[0, 0])
        rng = np.random.default_rng(seed)
        count = int(rng.integers(0, 40))
        if "boom" in scene.id.token:
            raise RuntimeError(scene.id.token)
        if "hog" in scene.id.token:
            count = len(np.ones(1 << 32, np.uint8)) & 1
        position = rng.normal(size=(count, 11, 2))
        if "nan" in scene.id.token:
            position = np.full((1, 11, 2), np.nan)
            count = 1
        raster = np.add.outer(np.arange(64), np.arange(64)).astype(np.float32) + seed % 7
        return {"agent/position": position, "agent/valid": rng.random((count, 11)) < 0.5, "map": raster}


class Future:
    """A target: the ego vehicle's future."""

    version = "1"
    window: ClassVar = Window(future_s=2.0)
    spec: ClassVar = {"future": ArraySpec(dims=(21, 2), dtype="float64")}

    def build(self, scene):
        """Return one array."""
        assert scene.window == self.window
        return {"future": scene.ego.position.copy()}


BUILDERS = {"agents": Agents, "future": Future}


def builders(tags):
    """Return builders by tag."""
    return [(tag, BUILDERS[tag]()) for tag in tags]


def listing(logs, scenarios, special=()):
    """Return a listing; `special` tokens are added to every log."""
    tokens = [f"{number:016x}" for number in range(scenarios)]
    rows = [
        (ScenarioId(f"log-{log}", token, 1_000_000 + place * 50_000), f"type-{place % 3}", "town")
        for log in range(logs)
        for place, token in enumerate([*tokens[: scenarios // 2], *special, *tokens[scenarios // 2 :]])
    ]
    return Listing.of(rows)


class Here:
    """The simplest worker."""

    count = 1
    processes = False

    def run(self, job, batches):
        """Yield results one after another."""
        with job.open(0) as session:
            for number, batch in enumerate(batches):
                for place, result in enumerate(session.run(batch)):
                    yield number, place, result


WORKERS = {"here": lambda _count: Here(), "threads": Threads, "processes": Processes}


def folder_at(path, store="lmdb"):
    """Return a cache folder."""
    return CacheFolder(Path(path), STORES[store]())


def prepared(folder, tags=("agents", "future"), source=None, **options):
    """Return the folder, ready for these builders."""
    asked = [(tag, builder, {}) for tag, builder in builders(tags)]
    folder.open_or_create(fingerprint((source or Source()).identity(), asked), **options)
    return folder


def cache(folder, wanted, tags=("agents", "future"), *, source=None, worker=None, **options):
    """Run the cache step."""
    return cache_scenarios(
        listing=wanted,
        tags=tags,
        make_source=partial(Source, **attrs.asdict(source or Source())),
        make_builders=partial(builders, tags),
        folder=prepared(folder, tags, source),
        worker=worker or Here(),
        **options,
    )


def content(folder):
    """Return every stored value by key, checked."""
    found = {}
    for stamp in folder.shards.sealed():
        reader = folder.shards.open(stamp.name)
        found.update(zip(reader.keys(), reader.get_many(list(reader.keys())), strict=True))
        reader.close()
    return found


def say(text):
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201


def main(path, store, logs, scenarios, delay_s="0", *options):
    """Run the cache step and print its report; an option `worker=processes` and `count=2` say with what."""
    settings = dict(option.split("=") for option in options)
    caching.CacheJob = partial(session.CacheJob, seal_samples=int(settings.get("seal", "5000")))
    if "file_bytes" in settings:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(settings["file_bytes"]), resource.RLIM_INFINITY))
    if "memory_bytes" in settings:
        resource.setrlimit(resource.RLIMIT_AS, (int(settings["memory_bytes"]), resource.RLIM_INFINITY))
    say("ready")
    try:
        report = cache(
            folder_at(path, store),
            listing(int(logs), int(scenarios), special=tuple(filter(None, settings.get("special", "").split(",")))),
            worker=WORKERS[settings.get("worker", "here")](int(settings.get("count", "1"))),
            source=Source(delay_s=float(delay_s)),
            note=say,
            progress=lambda state: say(f"at {state.done}"),
            part=settings.get("part", "all"),
        )
    except PlutoError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    say(report)


if __name__ == "__main__":
    main(*sys.argv[1:])
