"""Sealed shards of a cache, pushed to a URL and pulled from it, so that many machines can compute or use one cache.

What lies at the URL is a cache folder without locks and index, and `pushed.json`, which names every file with its size and
digest and is written last: what was cut off is not taken for a cache, and is gone on with by pushing again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.pipeline import listings, manifest
from pluto_core.pipeline.durable import remove, sync_folder, sync_tree, write_file
from pluto_core.pipeline.folder import DAMAGED, CacheFolder
from pluto_core.pipeline.maintenance import Progress, silent
from pluto_core.pipeline.manifest import Manifest
from pluto_core.pipeline.shards import SEALED
from pluto_core.places.copies import Copies
from pluto_core.places.files import LARGEST, content, parsed
from pluto_core.places.names import is_file_name
from pluto_core.places.remote import RemotePath, download, upload

INVENTORY = "pushed.json"
FORMAT = 1
_LARGEST_INVENTORY = 1 << 30
"""Bytes: a store of one file a value has two million of them for a million scenarios, and names each in 170 bytes."""
_TRIES = 2
_BLOCK = 1 << 20

Files = Mapping[str, Mapping[str, Any]]
"""Size and digest by path inside the cache."""


@attrs.frozen(kw_only=True)
class Moved:
    """What was pushed or pulled."""

    files: int = 0
    bytes: int = 0
    there: int = 0
    """Files that were there before."""


def push(folder: CacheFolder, url: str, *, progress: Progress = silent) -> Moved:
    """Put the sealed shards of a cache, its listings and its manifest at a URL; what is there is kept and added to.

    One push to a URL at a time: the last one writes the inventory.

    Args:
        folder: The cache; runs may go on writing it.
        url: A folder, which may not exist.
        progress: Called with files done and files to do.

    Raises:
        PlutoError: The URL holds a cache of something else, or cannot be written.
    """
    if not folder.store.suffix:
        message = f"a cache in {folder.name!r} has no files to push; import it into another store first"
        raise PlutoError(message)
    mine = folder.manifest
    with tempfile.TemporaryDirectory() as scratch:
        there, theirs = _inventory(url, Path(scratch))
        if theirs is not None:
            _require_same(theirs, mine, url, str(folder.path))
            mine = attrs.evolve(theirs, fingerprint=theirs.fingerprint.joined(mine.fingerprint))
        paths = _own_files(folder)
        sizes = _sizes(RemotePath(url=f"{url}/{SEALED}", copies=_no_copies(scratch)), SEALED)
        entries, moved = dict(there), Moved()
        for done, (name, path) in enumerate(paths.items(), start=1):
            entries[name] = _entry(path)
            if name.startswith(SEALED) and sizes.get(name) == entries[name]["size"]:
                moved = attrs.evolve(moved, there=moved.there + 1)
            else:
                upload(path, f"{url}/{name}")
                moved = attrs.evolve(moved, files=moved.files + 1, bytes=moved.bytes + path.stat().st_size)
            progress(done, len(paths))
        mine.write(Path(scratch))
        entries[manifest.NAME] = _entry(Path(scratch) / manifest.NAME)
        inventory = Path(scratch) / INVENTORY
        inventory.write_text(
            json.dumps({"format": FORMAT, "files": entries}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        for name in (manifest.NAME, INVENTORY):
            upload(Path(scratch) / name, f"{url}/{name}")
    return moved


def store_at(url: str) -> str:
    """Return the name of the component (kind `caches`) in which the cache at a URL is stored.

    Raises:
        PlutoError: There is none.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return _pushed(url, Path(scratch))[1].store


def pull(url: str, target: CacheFolder, *, progress: Progress = silent) -> Moved:
    """Fetch the shards of a pushed cache that `target` lacks; `target` may be new, or hold samples of the same things.

    Every file is compared with its digest before it becomes part of the cache; a pull that was cut off is gone on with.

    Raises:
        PlutoError: There is no such cache, it was made from something else or is stored otherwise, or a file is damaged.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files, theirs = _pushed(url, Path(scratch))
        if theirs.suffix != target.store.suffix:
            message = f"{url} is stored as {theirs.store!r}, and {target.path} as {target.name!r}; pull it into another folder"
            raise PlutoError(message)
        target.open_or_create(theirs.fingerprint)
        shards: dict[str, dict[str, Mapping[str, Any]]] = {}
        for name, entry in files.items():
            if name.startswith(f"{SEALED}/"):
                shards.setdefault(name.split("/")[1], {})[name] = entry
        with target.hold():
            have = {stamp.name for stamp in target.shards.sealed()}
            moved = Moved(there=sum(len(parts) for shard, parts in shards.items() if shard in have))
            wanted = {shard: parts for shard, parts in shards.items() if shard not in have}
            for done, (shard, parts) in enumerate(wanted.items(), start=1):
                size = _pull_shard(url, shard, parts, target)
                moved = attrs.evolve(moved, files=moved.files + len(parts), bytes=moved.bytes + size)
                progress(done, len(wanted))
            _pull_records(url, files, target, Path(scratch))
            target.tidy()
    return moved


def _pull_shard(url: str, shard: str, parts: Files, target: CacheFolder) -> int:
    """Fetch one shard, a file or a folder of files, beside its place, and give it its name; return its bytes."""
    folder = target.path / SEALED
    folder.mkdir(exist_ok=True)
    beside = folder / f".{shard}.part"
    remove(beside)
    try:
        for name, entry in parts.items():
            _fetch(f"{url}/{name}", entry, beside / _inside(name, 2) if name.count("/") > 1 else beside)
        sync_tree(beside)
        beside.rename(folder / shard)
    except BaseException:
        remove(beside)
        raise
    sync_folder(folder)
    return sum(int(entry["size"]) for entry in parts.values())


def _pull_records(url: str, files: Files, target: CacheFolder, scratch: Path) -> None:
    """Fetch listings that the target lacks, and what is known to be damaged."""
    (target.path / listings.FOLDER).mkdir(exist_ok=True)
    for name, entry in files.items():
        place = target.path / listings.FOLDER / name.rpartition("/")[2]
        if name.startswith(f"{listings.FOLDER}/") and not place.exists():
            _fetch(f"{url}/{name}", entry, scratch / "listing")
            write_file(place, (scratch / "listing").read_bytes())
    if DAMAGED in files:
        _fetch(f"{url}/{DAMAGED}", files[DAMAGED], scratch / DAMAGED)
        place = target.path / DAMAGED
        known = place.read_bytes().splitlines() if place.exists() else []
        lines = dict.fromkeys([*known, *(scratch / DAMAGED).read_bytes().splitlines()])
        write_file(place, b"".join(line + b"\n" for line in lines))


def _fetch(url: str, entry: Mapping[str, Any], path: Path) -> None:
    """Fetch a file and compare it with its digest.

    Raises:
        PlutoError: It arrives damaged again and again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        download(url, path, int(entry["size"]))
        if _entry(path) == entry:
            return
    raise PlutoError(f"{url} is not what was pushed (size or digest differ); push the cache again")


def _own_files(folder: CacheFolder) -> dict[str, Path]:
    """Return the files of a cache that are pushed, by path inside it: shards that are sealed now, listings, damage."""
    places = [folder.shards.path(stamp.name) for stamp in folder.shards.sealed()]
    paths = [path for place in places for path in _files_in(place)]
    paths += sorted((folder.path / listings.FOLDER).glob("*.npz"))
    paths += [folder.path / DAMAGED] if (folder.path / DAMAGED).exists() else []
    return {path.relative_to(folder.path).as_posix(): path for path in paths}


def _files_in(place: Path) -> Iterable[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _sizes(folder: RemotePath, inside: str) -> dict[str, int]:
    """Return the sizes of all files below a remote folder, by path."""
    if not folder.is_dir():
        return {}
    sizes: dict[str, int] = {}
    for one in folder.iterdir():
        name = f"{inside}/{one.name}"
        sizes |= _sizes(one, name) if one.folder else {name: one.size or 0}
    return sizes


def _entry(path: Path) -> dict[str, Any]:
    """Return size and digest of a file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return {"size": path.stat().st_size, "digest": digest.hexdigest()}


def _pushed(url: str, scratch: Path) -> tuple[Files, Manifest]:
    files, found = _inventory(url, scratch)
    if found is None:
        raise PlutoError(f"there is no pushed cache at {url} (no {INVENTORY}); push one: pluto cache export CACHE --to {url}")
    return files, found


def _inventory(url: str, scratch: Path) -> tuple[Files, Manifest | None]:
    """Return what was pushed to a URL; nothing and None where nothing was, or the first push was cut off."""
    if not RemotePath(url=f"{url}/{INVENTORY}", copies=_no_copies(str(scratch))).is_file():
        return {}, None
    download(f"{url}/{INVENTORY}", scratch / INVENTORY, _LARGEST_INVENTORY)
    download(f"{url}/{manifest.NAME}", scratch / manifest.NAME, LARGEST)
    try:
        plain = parsed(content(scratch / INVENTORY, _LARGEST_INVENTORY))
        if plain["format"] != FORMAT:
            raise PlutoError(f"{url}/{INVENTORY} has format {plain['format']}, this program reads {FORMAT}")
        files: Files = {str(name): {"size": int(one["size"]), "digest": one["digest"]} for name, one in plain["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PlutoError(f"{url}/{INVENTORY} cannot be read ({error}); push the cache again to another place") from error
    for name in files:
        if not all(map(is_file_name, name.split("/"))):
            raise PlutoError(f"{url}/{INVENTORY} names {name!r}, which lies outside of a cache")
    return files, Manifest.read(scratch)


def _require_same(theirs: Manifest, mine: Manifest, url: str, path: str) -> None:
    lines = theirs.fingerprint.differences(mine.fingerprint)
    if theirs.suffix != mine.suffix:
        lines = [f"stored as {theirs.store!r} there, as {mine.store!r} here", *lines]
    if lines:
        raise PlutoError("\n  ".join([f"the cache at {url} was made from something else than {path}:", *lines]))


def _inside(name: str, parts: int) -> str:
    return "/".join(name.split("/")[parts:])


def _no_copies(scratch: str) -> Copies:
    return Copies(Path(scratch) / "copies", 0)
