"""The cache folder: everything about a cache that is not how one shard is stored.

manifest.json   what it is and what its samples were made from
listings/       what each filter took
shards/         sealed shards
unsealed/       shards being written, each with its owner's lock
index.bin       which shard holds what
failures.jsonl  scenarios that gave no sample, or one that failed when it was read; failures/: of sessions that still run
damaged.jsonl   values that are left out since they failed when they were read; damaged/: shards that cannot be read
locks/          who runs
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.pipeline import failures, index, listings, manifest
from pluto_core.pipeline.checking import MakeBuilders
from pluto_core.pipeline.durable import explained, leftovers, remove, write_file
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.pipeline.index import Index, shard_key
from pluto_core.pipeline.inspection import Damage
from pluto_core.pipeline.locks import Lock, hold_run
from pluto_core.pipeline.manifest import Manifest
from pluto_core.pipeline.reader import CacheReader
from pluto_core.pipeline.shards import ASIDE, SEALED, UNSEALED, Shards
from pluto_core.places.files import content, parsed
from pluto_core.protocols import ShardStore

Rows = npt.NDArray[np.int64]
Note = Callable[[str], None]

LOCKS = "locks"
DAMAGED = "damaged.jsonl"


def _silent(_text: str) -> None:
    """Say nothing."""


class CacheFolder:
    """One cache. Holds nothing open, and may be pickled."""

    def __init__(self, path: Path, store: ShardStore, *, name: str = "", scratch: Path | None = None) -> None:
        """Name a cache; nothing is read or written yet.

        Args:
            path: Its folder.
            store: How its shards are stored.
            name: The store's component name; where empty, its suffix without the dot, or `memory`.
            scratch: Folder for shards being written; None: the cache itself.
        """
        self.path = path.absolute()
        self.store = store
        self.name = name or store.suffix.lstrip(".") or "memory"
        self.shards = Shards(self.path, store, scratch)

    @property
    def manifest(self) -> Manifest:
        """Return what the folder says about itself.

        Raises:
            PlutoError: It is no cache, or one of another store or format.
        """
        found = Manifest.read(self.path)
        if found.suffix != self.store.suffix:
            message = (
                f"the cache {self.path} is stored as {found.store!r}, and cache.use asks for {self.name!r}; "
                f'write [cache] use = "{found.store}", choose another cache.path, or copy it with `pluto cache import`'
            )
            raise PlutoError(message)
        return found

    def open_or_create(self, asked: Fingerprint, *, fresh: bool = False, note: Note = _silent) -> None:
        """Make the folder ready for the samples of `asked`, which may add builders to those that are there.

        Args:
            asked: What the samples are to be made from.
            fresh: Whether to remove what is there first.
            note: Says one line to the user.

        Raises:
            PlutoError: What is there was made from something else; every difference is named.
        """
        with explained(self.path):
            self._open_or_create(asked, fresh=fresh, note=note)

    def _open_or_create(self, asked: Fingerprint, *, fresh: bool, note: Note) -> None:
        cleared = fresh and self.clear()
        if not (self.path / manifest.NAME).exists():
            if not cleared:
                self._refuse_strangers()
            self.path.mkdir(parents=True, exist_ok=True)
            with self.gate():  # parts of an array job begin at the same time
                if not (self.path / manifest.NAME).exists():
                    Manifest(store=self.name, suffix=self.store.suffix, fingerprint=asked).write(self.path)
                    return
        found = self.manifest
        different = found.fingerprint.differences(asked)
        if different:
            lines = "".join(f"\n  {line}" for line in different)
            message = (
                f"the cache {self.path} was made from something else:{lines}\n"
                "choose another cache.path, compute it anew with --fresh, or undo the change"
            )
            raise PlutoError(message)
        changed = found.fingerprint.changed_code(asked)
        if changed:
            note(
                f"the code of builder {', '.join(changed)} changed since {self.path} was made, its version did not; "
                "`pluto cache verify --recompute 20` compares"
            )
        if found.fingerprint.joined(asked) != found.fingerprint:
            with self.gate():  # parts of an array job may add their builders at the same time
                attrs.evolve(found, fingerprint=self.manifest.fingerprint.joined(asked)).write(self.path)

    def clear(self) -> bool:
        """Remove everything that a cache consists of, and nothing else; return whether there was one.

        Raises:
            PlutoError: A run uses the cache.
        """
        if not (self.path / manifest.NAME).exists():
            return False
        with self.hold():
            self.shards.remove_all()
            for name in (index.NAME, failures.NAME, failures.FOLDER, listings.FOLDER, DAMAGED, manifest.NAME):
                for path in (*leftovers(self.path / name), self.path / name):
                    remove(path)
        return True

    def hold(self, part: str = "all") -> Lock:
        """Return the lock of a run that computes `part`: `all`, or `i-of-n` beside the other parts.

        Raises:
            PlutoError: Another run computes the same; it is named.
        """
        self._require_own()
        with explained(self.path):
            return hold_run(self.path / LOCKS, part)

    def index(self) -> Index:
        """Return the index of the shards that are sealed now, and store it where it is new and the folder can be written."""
        digest, dropped = self._damaged()
        stamps = self.shards.sealed()
        old = (Index.read(self.path) if self.store.suffix else None) or index.EMPTY
        unreadable = old.unreadable.keys() & {stamp.name for stamp in stamps}
        if old.shards == stamps and old.damaged == digest and not unreadable:
            return old
        new = index.joined(old, stamps, self.shards.keys, dropped, digest)
        if self.store.suffix:
            with contextlib.suppress(OSError):
                new.write(self.path)
        return new

    def forget_index(self) -> None:
        """Remove the stored index; the next `index` reads the keys of every shard."""
        remove(self.path / index.NAME)

    def problems(self) -> list[str]:
        """Return one line for each shard that cannot be read, and whose samples are therefore not there."""
        return [f"the shard {self.shards.path(name)} cannot be read: {why}" for name, why in self.index().unreadable.items()]

    def missing(self, listing: Listing, tags: Sequence[str], *, retry: bool = False) -> dict[str, Rows]:
        """Return for each builder the rows of the listing that lack its sample and, unless `retry`, did not fail to give it."""
        keys = listings.keys_of(listing)
        known = self.index()
        failed = frozenset() if retry else self.given_up()
        todo = {}
        for tag in tags:
            rows = np.flatnonzero(known.places_of(tag, keys) < 0)
            if len(rows) and failed:
                given_up = np.asarray([(tag, key.decode()) in failed for key in keys[rows].tolist()])
                rows = rows[~given_up]
            if len(rows):
                rows = rows[np.sort(np.unique(keys[rows], return_index=True)[1])]
            todo[tag] = rows
        return todo

    def reader(
        self, tags: Sequence[str] | None = None, *, verify: bool = False, make_builders: MakeBuilders | None = None
    ) -> CacheReader:
        """Return a reader of the samples that all of `tags` gave (None: all builders of the manifest); see `CacheReader`."""
        asked = self.manifest.tags if tags is None else tags
        return CacheReader(self, asked, verify=verify, make_builders=make_builders)

    def save_listing(self, filter_digest: str, listing: Listing, funnel: Mapping[str, Any]) -> None:
        """Store what a filter took; see `listings.save`."""
        with explained(self.path):
            listings.save(self.path, filter_digest, listing, funnel)

    def load_listing(self, filter_digest: str) -> tuple[Listing, dict[str, Any]] | None:
        """Return what a filter took and its funnel, or None; see `listings.load`."""
        return listings.load(self.path, filter_digest)

    def failures(self) -> failures.Failures:
        """Return the last failure by builder tag and scenario key."""
        return failures.read(self.path)

    def given_up(self) -> frozenset[tuple[str, str]]:
        """Return tag and scenario key of what failed to give a sample; one that failed when it was read is computed again."""
        return frozenset(key for key, failure in self.failures().items() if not failure.shard)

    def tidy(self, note: Note = _silent) -> Index:
        """Take over what dead runs left, move unreadable shards away, merge failures, and return the new index."""
        before = (Index.read(self.path) if self.store.suffix else None) or index.EMPTY
        self.shards.adopt(note)
        there = {stamp.name for stamp in self.shards.sealed()}
        for stamp in before.shards:
            if stamp.name not in there:
                note(f"the shard {stamp.name} is gone; its samples are computed again")
        for name, why in self.index().unreadable.items():
            note(f"the shard {name} cannot be read ({why}); its samples are computed again")
            self.shards.set_aside(name)
        known = self._without_failed(note)
        with explained(self.path), self.gate():
            failures.merge(self.path, lambda tag, key: bool(known.places_of(tag, np.asarray([key.encode()]))[0] >= 0))
        return known

    @contextlib.contextmanager
    def gate(self) -> Iterator[None]:
        """Give the lock for moments in which files of the whole folder are changed."""
        self._require_own()
        (self.path / LOCKS).mkdir(exist_ok=True)
        lock = Lock.take(self.path / LOCKS / "tidy", wait=True)
        with lock or contextlib.nullcontext():
            yield

    def note_failed(self, damaged: Mapping[str, Sequence[Damage]]) -> None:
        """Make samples that failed when they were read, by name of shard, rows of the failures where those can be written."""
        found = [
            failures.Failure.of_value(one.key, shard=name, reason=one.reason, detail=one.detail)
            for name, some in damaged.items()
            for one in some
        ]
        # Whoever only reads, from a read-only disk or through links, is to hear of the sample and not of this.
        with contextlib.suppress(OSError, PlutoError), self.gate():
            failures.append(self.path, filter(None, found))

    def _without_failed(self, note: Note) -> Index:
        """Leave samples that failed when they were read out of the index, and return that."""
        known = self.index()
        failed: dict[str, list[Damage]] = {}
        for (tag, key), failure in self.failures().items():
            place = int(known.places_of(tag, np.asarray([key.encode()]))[0]) if failure.shard else -1
            if place >= 0 and known.shards[place].name == failure.shard:  # elsewhere it was computed again since
                failed.setdefault(failure.shard, []).append(Damage(shard_key(tag, key), failure.reason, failure.detail))
        if not failed:
            return known
        count = sum(map(len, failed.values()))
        told = (
            "1 sample failed when it was read; it is" if count == 1 else f"{count} samples failed when they were read; they are"
        )
        note(f"{told} computed again")
        self.drop(failed)
        return self.index()

    def drop(self, damaged: Mapping[str, Sequence[Damage]]) -> None:
        """Leave damaged values, by name of shard, out of the index from now on; the cache step computes them again."""
        rows = [(name, one.key.decode(errors="surrogateescape"), one) for name, found in damaged.items() for one in found]
        lines = [json.dumps({"shard": name, "key": key, "reason": one.reason, "detail": one.detail}) for name, key, one in rows]
        with explained(self.path), self.gate():
            place = self.path / DAMAGED
            before = content(place) if place.exists() else b""
            write_file(place, before + "".join(line + "\n" for line in lines).encode())

    def dropped(self) -> Mapping[str, frozenset[bytes]]:
        """Return the keys of damaged values that the index leaves out, by name of shard."""
        return self._damaged()[1]

    def _damaged(self) -> tuple[str, dict[str, frozenset[bytes]]]:
        try:
            text = content(self.path / DAMAGED)
        except FileNotFoundError:
            return "", {}
        except OSError as error:
            message = f"{self.path / DAMAGED} cannot be read ({error.strerror}); remove it, and run `pluto cache verify`"
            raise PlutoError(message) from None
        dropped: dict[str, set[bytes]] = {}
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # a line that tells nothing
                fields = parsed(line)
                dropped.setdefault(str(fields["shard"]), set()).add(fields["key"].encode(errors="surrogateescape"))
        digest = hashlib.blake2b(text, digest_size=8).hexdigest()
        return digest, {name: frozenset(keys) for name, keys in dropped.items()}

    def _require_own(self) -> None:
        """Refuse links in the place of what is written or cleared away: what they lead to is not of this cache."""
        for name in (LOCKS, SEALED, UNSEALED, ASIDE, listings.FOLDER, failures.FOLDER, failures.NAME):
            if (self.path / name).is_symlink():
                advice = "put the whole cache where it leads, and name that in cache.path"
                message = f"{self.path / name} is a link, and a cache that is written holds its files itself; {advice}"
                raise PlutoError(message)

    def _refuse_strangers(self) -> None:
        if (self.path / LOCKS).is_dir():
            return  # a cache that was cleared
        begun = set(leftovers(self.path / manifest.NAME))  # its maker was killed before the manifest had its name
        if self.path.is_file() or (self.path.is_dir() and not begun.issuperset(self.path.iterdir())):
            message = f"{self.path} holds something else and is no cache; choose another cache.path"
            raise PlutoError(message)
