"""A listing: the scenarios that a filter took, as columns (1 M rows in well under 200 MB)."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.scene import ScenarioId

Ints = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class Names:
    """A column of text, stored as codes into its different values."""

    values: tuple[str, ...]
    codes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def text(self, row: int) -> str:
        """Return the text of one row."""
        return self.values[int(self.codes[row])]

    def take(self, rows: npt.NDArray[Any]) -> "Names":
        """Return some rows; the values are shared."""
        return Names(values=self.values, codes=self.codes[rows])

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Names":
        """Return a column of `texts`, whose values stand in order of first sight."""
        place: dict[str, int] = {}
        codes = np.fromiter((place.setdefault(text, len(place)) for text in texts), np.int32, len(texts))
        return cls(values=tuple(place), codes=codes)

    @classmethod
    def concatenated(cls, columns: Sequence["Names"]) -> "Names":
        """Return one column after another."""
        place: dict[str, int] = {}
        codes = [np.zeros(0, np.int32)]
        for column in columns:
            translated = [place.setdefault(value, len(place)) for value in column.values]
            codes.append(np.asarray(translated, np.int32)[column.codes])
        return cls(values=tuple(place), codes=np.concatenate(codes))


@attrs.frozen(kw_only=True, eq=False)
class Listing:
    """Scenarios in order of selection. Row `i` is the scenario `listing.id(i)`."""

    logs: Names
    tokens: npt.NDArray[np.bytes_]
    """(n,) tokens as ASCII bytes."""
    start_us: Ints
    """(n,) time zero of the scene, Unix microseconds."""
    types: Names
    """Scenario types as this filter sees them."""
    maps: Names
    anchor_us: Ints
    """(n,) time of the token's own frame; equals `start_us` unless the source cuts out a span around it."""

    def __len__(self) -> int:
        """Return the number of scenarios."""
        return len(self.tokens)

    def id(self, row: int) -> ScenarioId:
        """Return the id of one scenario."""
        return ScenarioId(self.logs.text(row), self.tokens[row].decode(), int(self.start_us[row]))

    def ids(self) -> Iterator[ScenarioId]:
        """Return all ids in order."""
        return (self.id(row) for row in range(len(self)))

    def take(self, rows: npt.NDArray[Any]) -> "Listing":
        """Return some rows (indices or a mask) in the order asked for."""
        return Listing(
            logs=self.logs.take(rows),
            tokens=self.tokens[rows],
            start_us=self.start_us[rows],
            types=self.types.take(rows),
            maps=self.maps.take(rows),
            anchor_us=self.anchor_us[rows],
        )

    def digest(self) -> str:
        """Return 32 hex digits that depend on what is listed and in which order, and on nothing else."""
        state = hashlib.blake2b(digest_size=16)
        for column in (self.logs, self.types, self.maps):
            hashes = [hashlib.blake2b(value.encode(), digest_size=8).digest() for value in column.values]
            state.update(np.asarray(hashes, "S8")[column.codes].tobytes() if hashes else b"-")
        state.update(np.char.str_len(self.tokens).astype(np.int32).tobytes() + b"".join(self.tokens.tolist()))
        state.update(self.start_us.tobytes())
        return state.hexdigest()

    @classmethod
    def of(cls, rows: Sequence[tuple[ScenarioId, str, str]]) -> "Listing":
        """Return a listing of (id, type, map) rows.

        Raises:
            PlutoError: A token is not ASCII.
        """
        ids = [row[0] for row in rows]
        try:
            tokens = np.asarray([identity.token.encode("ascii") for identity in ids], np.bytes_) if ids else np.zeros(0, "S1")
        except UnicodeEncodeError as error:
            message = f"token {error.object!r} is not ASCII"
            raise PlutoError(message) from None
        start_us = np.asarray([identity.start_us for identity in ids], np.int64)
        return cls(
            logs=Names.of([identity.log for identity in ids]),
            tokens=tokens,
            start_us=start_us,
            types=Names.of([row[1] for row in rows]),
            maps=Names.of([row[2] for row in rows]),
            anchor_us=start_us,
        )

    @classmethod
    def concatenated(cls, parts: Sequence["Listing"]) -> "Listing":
        """Return the rows of one listing after those of another."""
        if not parts:
            return cls.of([])
        return cls(
            logs=Names.concatenated([part.logs for part in parts]),
            tokens=np.concatenate([part.tokens for part in parts]),
            start_us=np.concatenate([part.start_us for part in parts]),
            types=Names.concatenated([part.types for part in parts]),
            maps=Names.concatenated([part.maps for part in parts]),
            anchor_us=np.concatenate([part.anchor_us for part in parts]),
        )
