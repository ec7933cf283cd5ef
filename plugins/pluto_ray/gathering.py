"""Fetching into a cache what sessions wrote to the disks of their nodes: in pieces, checked, shard by shard."""

import hashlib
import itertools
import uuid
from pathlib import Path
from typing import Any

import ray

from pluto_core import PlutoError
from pluto_core.pipeline import failures
from pluto_core.pipeline.durable import explained, remove, sync_folder, sync_tree
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.shards import SEALED
from pluto_ray.steward import Held

_PIECE = 4 << 20
"""Bytes of one call: what the driver's memory and Ray's object store hold of a shard at a time is a few of them."""
_AHEAD = 3
"""Pieces that are on their way at a time."""
_TRIES = 2


def gather(steward: Any, folder: CacheFolder) -> int:
    """Fetch what a node holds, remove it there, and return the number of shards fetched.

    A shard becomes part of the cache when all of it is there and its digests agree; one that was cut off is fetched again.

    Raises:
        PlutoError: The disk is full, or a file arrives damaged again and again.
        RayError: The node is gone.
    """
    held: list[Held] = ray.get(steward.held.remote())
    fetched = 0
    with explained(folder.path):
        for shard, parts in itertools.groupby(held, key=lambda one: one.shard):
            if shard is None:
                _fetch_failures(steward, next(parts), folder)
                continue
            if not folder.shards.path(shard).exists():
                _fetch_shard(steward, shard, list(parts), folder)
                fetched += 1
            ray.get(steward.drop.remote(f"{SEALED}/{shard}"))
    ray.get(steward.leave.remote())
    return fetched


def _fetch_shard(steward: Any, shard: str, parts: list[Held], folder: CacheFolder) -> None:
    """Fetch one shard, a file or a folder of files, beside its place, and give it its name."""
    home = folder.path / SEALED
    home.mkdir(exist_ok=True)
    beside = home / f".{shard}.part"
    remove(beside)
    try:
        for held in parts:
            _fetch(steward, held, beside.joinpath(*held.name.split("/")[2:]))
        sync_tree(beside)
        beside.rename(home / shard)
    except BaseException:
        remove(beside)
        raise
    sync_folder(home)


def _fetch_failures(steward: Any, held: Held, folder: CacheFolder) -> None:
    """Fetch a list of failures, to be merged with those of the cache when it is tidied."""
    home = folder.path / failures.FOLDER
    home.mkdir(exist_ok=True)
    beside = home / f".{uuid.uuid4().hex}.part"
    try:
        _fetch(steward, held, beside)
        beside.rename(home / f"{uuid.uuid4().hex}.jsonl")
    except BaseException:
        remove(beside)
        raise
    ray.get(steward.drop.remote(held.name))


def _fetch(steward: Any, held: Held, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        if _copied(steward, held, path) == held.digest:
            return
    raise PlutoError(f"{held.name} arrives damaged from a node (size or digest differ); run the same command again")


def _copied(steward: Any, held: Held, path: Path) -> str:
    """Copy a file, and return the digest of what arrived."""
    digest = hashlib.blake2b(digest_size=16)
    offsets = iter(range(0, held.size, _PIECE))
    coming = [steward.read.remote(held.name, offset, _PIECE) for offset in itertools.islice(offsets, _AHEAD)]
    with path.open("wb") as file:
        while coming:
            piece: bytes = ray.get(coming.pop(0))
            coming += [steward.read.remote(held.name, offset, _PIECE) for offset in itertools.islice(offsets, 1)]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
