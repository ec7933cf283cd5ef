"""What an actor on each node does with what sessions left there: take over what killed ones wrote, and hand it out."""

import contextlib
import hashlib
import pickle
from pathlib import Path
from typing import BinaryIO

import attrs

from pluto_core.pipeline import failures
from pluto_core.pipeline.durable import remove
from pluto_core.pipeline.folder import LOCKS, CacheFolder
from pluto_core.pipeline.shards import SEALED, UNSEALED
from pluto_ray.serving import Place, Surroundings

_BLOCK = 1 << 20


@attrs.frozen(kw_only=True)
class Held:
    """A file on a node that the cache lacks."""

    name: str
    """Path inside the folder that stands in for the cache."""
    size: int
    digest: str

    @property
    def shard(self) -> str | None:
        """Return the name of the shard that it is, or is a part of; None for the list of failures."""
        return self.name.split("/")[1] if self.name.startswith(f"{SEALED}/") else None


class Steward:
    """One node's."""

    def __init__(self, surroundings: Surroundings, packed: bytes, place: Place | None) -> None:
        surroundings.take()
        cache: CacheFolder = pickle.loads(packed)  # noqa: S301 -- from the driver, who runs code here anyway
        self._folder = cache if place is None else place.stand_in(cache)

    def adopt(self) -> list[str]:
        """Seal what killed sessions of this node left behind, and return what there is to say about it."""
        notes: list[str] = []
        self._folder.shards.adopt(notes.append)
        return notes

    def held(self) -> list[Held]:
        """Return the files of sealed shards, and the list of failures where there are any."""
        with self._folder.gate():
            failures.merge(self._folder.path, lambda _tag, _key: False)
        places = [self._folder.shards.path(stamp.name) for stamp in self._folder.shards.sealed()]
        places.append(self._folder.path / failures.NAME)
        return [self._entry(path) for place in places for path in _files(place)]

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return a piece of a file."""
        with (self._folder.path / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def drop(self, name: str) -> None:
        """Remove a shard, or the list of failures, which is in the cache by now."""
        remove(self._folder.path / name)

    def leave(self) -> None:
        """Remove the folder that stands in for the cache, unless there is something in it."""
        with contextlib.suppress(OSError):
            for name in (SEALED, UNSEALED, failures.FOLDER, LOCKS):
                if (self._folder.path / name).exists():
                    (self._folder.path / name).rmdir()
            self._folder.path.rmdir()

    def _entry(self, path: Path) -> Held:
        with path.open("rb") as file:
            digest, size = _digest(file)
        return Held(name=path.relative_to(self._folder.path).as_posix(), size=size, digest=digest)


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place] if place.exists() else []


def _digest(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.blake2b(digest_size=16), 0
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
