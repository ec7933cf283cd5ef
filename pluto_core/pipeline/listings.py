"""Listings on disk: one `.npz` of columns for each filter, without pickle, under `listings/`."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing, Names
from pluto_core.pipeline.durable import write_file
from pluto_core.places.files import opened, parsed

FOLDER = "listings"

Keys = npt.NDArray[np.bytes_]

_COLUMNS = ("tokens", "start_us", "anchor_us")
_NAMES = ("logs", "types", "maps")
_LONGEST = 1000
"""Characters of a name: a column of keys has room for the longest one in every row."""


def keys_of(listing: Listing) -> Keys:
    """Return the (n,) scenario keys of a listing, as UTF-8."""
    logs = [value.encode() for value in listing.logs.values]
    rows = zip(listing.logs.codes.tolist(), listing.tokens.tolist(), listing.start_us.tolist(), strict=True)
    keys = [b"%b/%b@%d" % (logs[log], token, start) for log, token, start in rows]
    return np.asarray(keys, np.bytes_) if keys else np.zeros(0, "S1")


def save(cache: Path, digest: str, listing: Listing, funnel: Mapping[str, Any]) -> None:
    """Store what a filter took.

    Args:
        cache: The cache folder.
        digest: Of filter and source; letters and digits, the file's name.
        listing: What was taken, in order.
        funnel: Plain values that say how many scenarios each part of the filter left.
    """
    arrays: dict[str, Any] = {name: getattr(listing, name) for name in _COLUMNS}
    for name in _NAMES:
        arrays[f"{name}.codes"] = getattr(listing, name).codes
        arrays[f"{name}.values"] = np.frombuffer(json.dumps(getattr(listing, name).values).encode(), np.uint8)
    arrays["funnel"] = np.frombuffer(json.dumps(funnel).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (cache / FOLDER).mkdir(exist_ok=True)
    write_file(_place(cache, digest), buffer.getvalue())


def load(cache: Path, digest: str) -> tuple[Listing, dict[str, Any]] | None:
    """Return the listing of a filter and its funnel, or None where that filter was never asked.

    Raises:
        PlutoError: The file is damaged.
    """
    path = _place(cache, digest)
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged archive makes of itself
        message = f"the stored listing {path} cannot be read ({error}); remove it, and run with the source again"
        raise PlutoError(message) from None


def load_all(cache: Path) -> Listing:
    """Return every scenario that any stored listing holds, the newest listing first; a scenario may stand several times."""
    paths = sorted((cache / FOLDER).glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = [load(cache, path.stem) for path in paths if not path.name.startswith(".")]
    return Listing.concatenated([each[0] for each in found if each is not None])


def described(keys: Keys, known: Listing) -> Listing:
    """Return the listing whose rows are `keys`, with types and maps as `known` has them (its first row wins)."""
    table = keys_of(known)
    rows = np.full(len(keys), -1, np.int64)
    if len(table):
        order = np.argsort(table, kind="stable")
        width = max(table.dtype.itemsize, keys.dtype.itemsize)
        ordered, asked = table[order].astype(f"S{width}"), keys.astype(f"S{width}")
        found = np.minimum(np.searchsorted(ordered, asked), len(ordered) - 1)
        rows = np.where(ordered[found] == asked, order[found], -1)
    listed = known.take(rows[rows >= 0])
    if (rows >= 0).all():
        return listed
    return _with_strangers(keys, rows, listed)


def _with_strangers(keys: Keys, rows: npt.NDArray[np.int64], listed: Listing) -> Listing:
    """Add the scenarios that no listing describes; they are there when a listing was removed by hand."""
    ids = [key.decode().rpartition("/") for key in keys[rows < 0].tolist()]
    pairs = [rest.rpartition("@") for _, _, rest in ids]
    start = np.asarray([int(start) for _, _, start in pairs], np.int64)
    unknown = Names.of(["unknown"] * len(ids))
    strangers = Listing(
        logs=Names.of([log for log, _, _ in ids]),
        tokens=np.asarray([token.encode() for token, _, _ in pairs], np.bytes_),
        start_us=start,
        types=unknown,
        maps=unknown,
        anchor_us=start,
    )
    place = np.empty(len(keys), np.int64)
    place[np.concatenate([np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)])] = np.arange(len(keys))
    return Listing.concatenated([listed, strangers]).take(place)


def _place(cache: Path, digest: str) -> Path:
    if not digest.isalnum():
        message = f"{digest!r} is no digest of a filter"
        raise ValueError(message)
    return cache / FOLDER / f"{digest}.npz"


def _read(path: Path) -> tuple[Listing, dict[str, Any]]:
    with opened(path) as stream, np.load(stream, allow_pickle=False) as file:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.zip.infolist()):
            message = "it is compressed, and could unpack to anything"
            raise ValueError(message)
        tokens, *times = (file[name] for name in _COLUMNS)
        names = {name: _names(file[f"{name}.codes"], file[f"{name}.values"], len(tokens)) for name in _NAMES}
        funnel = parsed(file["funnel"].tobytes())
    if not isinstance(funnel, dict) or tokens.ndim != 1 or not tokens.tobytes().isascii() or tokens.itemsize > _LONGEST:
        message = "its tokens cannot be those of scenarios"
        raise ValueError(message)
    if tokens.dtype.kind != "S" or any(column.shape != tokens.shape or column.dtype != np.int64 for column in times):
        message = "its columns do not agree"
        raise ValueError(message)
    return Listing(tokens=tokens, start_us=times[0], anchor_us=times[1], **names), funnel


def _names(codes: npt.NDArray[Any], values: npt.NDArray[Any], rows: int) -> Names:
    texts: Sequence[str] = parsed(values.tobytes())
    if not isinstance(texts, list) or any(len(str(text)) > _LONGEST for text in texts):
        message = "its names are too long, or none"
        raise ValueError(message)
    if codes.shape != (rows,) or codes.dtype != np.int32 or (rows and not 0 <= codes.min() <= codes.max() < len(texts)):
        message = "its names do not agree"
        raise ValueError(message)
    return Names(values=tuple(str(text) for text in texts), codes=codes)
