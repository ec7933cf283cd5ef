"""What `pluto cache` does with a cache that is there: tell about it, copy samples out of it, prove it, remove it."""

import contextlib
import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.errors import SampleError
from pluto_core.pipeline import codec, listings
from pluto_core.pipeline.checking import MakeBuilders
from pluto_core.pipeline.durable import ReadOnlyError, remove
from pluto_core.pipeline.folder import LOCKS, CacheFolder
from pluto_core.pipeline.index import EMPTY, Index, raw_key
from pluto_core.pipeline.inspection import Damage, Finding, Inspection, inspect
from pluto_core.pipeline.locks import owners
from pluto_core.pipeline.manifest import Manifest
from pluto_core.pipeline.reader import CacheReader
from pluto_core.pipeline.shards import ASIDE
from pluto_core.places.names import file_name
from pluto_core.protocols import ScenarioSource, SceneBuilder, Worker
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId, Scene, Window

_AT_A_TIME = 32

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


def silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def store_name(path: Path) -> str:
    """Return the name of the component (kind `caches`) that can open the cache at `path`.

    Raises:
        PlutoError: There is no cache.
    """
    return Manifest.read(path).store


def info(folder: CacheFolder) -> dict[str, Any]:
    """Return what a cache holds, as plain values: samples by type and builder, bytes, shards, failures by reason, who runs."""
    manifest = folder.manifest
    index = folder.index()
    reader = folder.reader()
    failures = folder.failures()
    source = manifest.fingerprint.source or {}
    return {
        "path": str(folder.path),
        "store": manifest.store,
        "source": source.get("reader"),
        "samples": len(reader.keys),
        "builders": {
            tag: {
                "samples": index.count(tag),
                "version": manifest.fingerprint.builders[tag]["version"],
                "arrays": len(manifest.spec(tag)),
                "failed": sum(failed == tag for failed, _ in failures),
            }
            for tag in manifest.tags
        },
        "types": _counts(reader.listing.types.values, reader.listing.types.codes),
        "maps": _counts(reader.listing.maps.values, reader.listing.maps.codes),
        "logs": len(np.unique(reader.listing.logs.codes)),
        "bytes": size_of_shards(folder, index),
        "shards": len(index.shards),
        "unsealed_shards": len(list(folder.shards.unsealed.glob("*" + folder.store.suffix))) if folder.store.suffix else 0,
        "failures": dict(Counter(failure.reason.value for failure in failures.values())),
        "listings": sorted(path.stem for path in (folder.path / listings.FOLDER).glob("*.npz")),
        "runs": [str(owner) for owner in owners(folder.path / LOCKS)],
        "unreadable": dict(index.unreadable),
        "set_aside": sorted(path.name for path in (folder.path / ASIDE).iterdir()) if (folder.path / ASIDE).is_dir() else [],
    }


def size_of_shards(folder: CacheFolder, index: Index) -> int:
    """Return the bytes that the shards of an index take on the disk."""
    return sum(_size(folder.shards.path(stamp.name)) for stamp in index.shards)


def export(folder: CacheFolder, to: Path, *, progress: Progress = silent) -> int:
    """Write every complete sample as `<token>.npz`, as cached, and return how many there are.

    Where a token occurs twice, the file is `<token>@<start_us>.npz`; where that does too, `<token>@<start_us>@<log>.npz`.
    """
    to.mkdir(parents=True, exist_ok=True)
    reader = folder.reader()
    scenarios = [ScenarioId.from_key(key) for key in reader.keys]
    names = _file_names(scenarios)
    done = 0
    for keys in _chunks(reader.keys):
        for key, sample in zip(keys, reader.get_many(keys), strict=True):
            _save(to / f"{names[key]}.npz", sample)
            done += 1
        progress(done, len(scenarios))
    reader.close()
    return len(scenarios)


@attrs.frozen(kw_only=True)
class VerifyReport:
    """What `verify` found."""

    values: int
    """Values read."""
    damaged: Mapping[str, int]
    """Damaged values by shard; they are left out of the index and computed again by the next cache step."""
    reasons: Mapping[str, int]
    """Damaged values by reason."""
    lost: int
    """Values that the index listed and that are gone, with their shard or without; they are computed again as well."""
    unreadable: Mapping[str, str]
    """Shards that cannot be read at all, moved to `damaged/`, and why."""
    recomputed: int = 0
    different: Sequence[str] = ()
    """Recomputed samples that differ from the stored ones: builder, scenario, first array that differs."""
    repaired: bool = True
    """Whether the cache could be written; otherwise what was found is as it was."""

    @property
    def ok(self) -> bool:
        """Return whether nothing was found."""
        return not (self.damaged or self.lost or self.unreadable or self.different)


@attrs.frozen
class Recompute:
    """What `verify` needs to compare stored samples with new ones."""

    source: ScenarioSource
    builders: Sequence[tuple[str, SceneBuilder]]
    count: int
    """Scenarios to compute again, evenly spread."""


def verify(
    folder: CacheFolder,
    *,
    make_builders: MakeBuilders | None = None,
    recompute: Recompute | None = None,
    worker: Worker | None = None,
    progress: Progress = silent,
) -> VerifyReport:
    """Read every value, compare its checksums and its spec, ask its builder, and repair the index where it can be written.

    Args:
        folder: The cache.
        make_builders: Gives the builders that are asked about their samples (those that offer it); None: none is.
        recompute: Samples to compute again, or None.
        worker: Reads several shards at a time, if it has processes.
        progress: Called with values read and values in all.
    """
    with _held(folder) as writable:
        if writable:
            folder.shards.adopt(lambda _text: None)
        before = Index.read(folder.path) or EMPTY
        findings = _findings(folder, make_builders, worker, progress, sum(before.count(tag) for tag in before.tags))
        damaged = {finding.shard: finding.damaged for finding in findings if finding.damaged}
        unreadable = {finding.shard: finding.unreadable for finding in findings if finding.unreadable}
        after = _repaired(folder, damaged, unreadable) if writable else folder.index()
        different = _recomputed(folder, recompute) if recompute else []
    return VerifyReport(
        values=sum(finding.values for finding in findings),
        damaged={name: len(found) for name, found in damaged.items()},
        reasons=dict(Counter(one.reason.value for found in damaged.values() for one in found)),
        lost=_gone(before, after, damaged),
        unreadable=unreadable,
        recomputed=min(recompute.count, len(folder.reader().keys)) if recompute else 0,
        different=different,
        repaired=writable,
    )


@contextlib.contextmanager
def _held(folder: CacheFolder) -> Iterator[bool]:
    """Keep other runs away meanwhile; give whether the cache can be written at all."""
    try:
        lock = folder.hold()
    except ReadOnlyError:
        yield False
        return
    with lock:
        yield True


def _repaired(folder: CacheFolder, damaged: Mapping[str, Sequence[Damage]], unreadable: Iterable[str]) -> Index:
    """Leave out what is damaged, move aside what cannot be read, and return the new index."""
    for name in unreadable:
        folder.shards.set_aside(name)
    if damaged:
        folder.note_failed(damaged)
        folder.drop(damaged)
    folder.forget_index()
    return folder.tidy()


def _findings(
    folder: CacheFolder, make_builders: MakeBuilders | None, worker: Worker | None, progress: Progress, expected: int
) -> list[Finding]:
    """Return what is wrong with each sealed shard, without opening one in this process."""
    specs = {tag: folder.manifest.spec(tag) for tag in folder.manifest.tags}
    asked = Inspection(shards=folder.shards, specs=specs, skip=folder.dropped(), make_builders=make_builders)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(done, max(done, expected))

    return list(inspect(asked, [stamp.name for stamp in folder.shards.sealed()], count, worker))


def _gone(before: Index, after: Index, damaged: Mapping[str, Sequence[Damage]]) -> int:
    """Return how many values an index listed that another one does not, those aside that are known to be damaged."""
    gone = 0
    for tag, places in zip(before.tags, before.places, strict=True):
        listed = before.keys[places >= 0]
        left = listed[after.places_of(tag, listed) < 0].tolist()
        known = {one.key for found in damaged.values() for one in found}
        gone += sum(raw_key(tag, key) not in known for key in left)
    return gone


def delete(folder: CacheFolder) -> None:
    """Remove a cache and its folder, if nothing else is in that; also one of another version.

    Raises:
        PlutoError: It is no cache, or a run uses it.
    """
    if not folder.clear():
        folder.manifest  # noqa: B018 -- says that it is no cache
    remove(folder.path / "locks")
    with contextlib.suppress(OSError):
        folder.path.rmdir()


def _recomputed(folder: CacheFolder, recompute: Recompute) -> list[str]:
    with contextlib.closing(folder.reader([tag for tag, _ in recompute.builders])) as reader:
        return _compared(reader, recompute)


def _compared(reader: CacheReader, recompute: Recompute) -> list[str]:
    rows = np.unique(np.linspace(0, len(reader.keys) - 1, min(recompute.count, len(reader.keys))).round().astype(np.int64))
    window = Window.union(builder.window for _, builder in recompute.builders)
    different = []
    for row in rows.tolist():
        key = reader.keys[row]
        stored = reader.get_many([key])[0]
        try:
            scene = recompute.source.load(ScenarioId.from_key(key), window)
        except SampleError as error:
            different.append(f"{key} cannot be loaded any more ({error})")
            continue
        for tag, builder in recompute.builders:
            name = _first_difference(builder, scene, stored)
            if name:
                different.append(f"{tag} {key} {name}")
    return different


def _first_difference(builder: SceneBuilder, scene: Scene, stored: Sample) -> str:
    """Return the first array that comes out otherwise than stored, or why none comes out; empty: all are equal."""
    try:
        built = builder.build(scene.narrow(builder.window))
        again = codec.decode(codec.encode(built, builder.spec, "raw"))
    except SampleError as error:
        return f"gives no sample any more ({error})"
    return next((name for name, array in again.items() if name not in stored or not np.array_equal(stored[name], array)), "")


def _save(place: Path, sample: Sample) -> None:
    """Write the file of a sample, whole or not at all; a link in its place is replaced, not followed."""
    arrays: dict[str, Any] = dict(sample)
    beside = place.with_name(f".{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as file:
            np.savez(file, **arrays)
        beside.replace(place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _file_names(scenarios: Sequence[ScenarioId]) -> dict[str, str]:
    tokens = Counter(scenario.token for scenario in scenarios)
    starts = Counter((scenario.token, scenario.start_us) for scenario in scenarios)
    names = {}
    for scenario in scenarios:
        name = scenario.token
        if tokens[scenario.token] > 1:
            name += f"@{scenario.start_us}"
        if starts[scenario.token, scenario.start_us] > 1:
            name += f"@{scenario.log.replace('/', '_')}"
        names[scenario.key] = file_name(name)
    return names


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while chunk := list(itertools.islice(rest, _AT_A_TIME)):
        yield chunk


def _counts(values: Sequence[str], codes: Any) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(values)).tolist()
    return dict(sorted((value, count) for value, count in zip(values, counts, strict=True) if count))


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.iterdir())
    return path.stat().st_size if path.exists() else 0
