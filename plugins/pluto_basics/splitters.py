"""How a listing is divided into train, val and test. A scenario belongs to one part at most."""

import csv
import hashlib
import json
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from pluto_basics.config import ByLogConfig, ByTokenListConfig, OnePartConfig
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.places import user_path

Rows = npt.NDArray[np.int64]

PARTS = ("train", "val", "test")
_SHOWN = 5
_LONGEST = 60
"""Characters that a message shows of what is no token."""


def by_log(config: ByLogConfig, _context: Context) -> "ByLog":
    """Return the splitter `by_log`."""
    return ByLog(config)


def by_token_list(config: ByTokenListConfig, context: Context) -> "ByTokenList":
    """Return the splitter `by_token_list`, its files read.

    Raises:
        PlutoError: A file cannot be read, holds no tokens, two of them share one, or they are not the lists that are expected.
    """
    named = {part: getattr(config, part) for part in PARTS}
    lists = {part: read_tokens(user_path(path)) for part, path in named.items() if path is not None}
    if not lists:
        message = "splitter by_token_list: name a file for at least one of train, val, test"
        raise PlutoError(message)
    splitter = ByTokenList(lists, context)
    if config.expect_hash and not splitter.digest.startswith(config.expect_hash):
        message = (
            f"splitter by_token_list: the lists have the hash {splitter.digest}, not {config.expect_hash}; they were changed"
        )
        raise PlutoError(message)
    sizes = ", ".join(f"{len(tokens)} of {part}" for part, tokens in lists.items())
    context.note(f"splitter by_token_list: {sizes}, hash {splitter.digest}")
    return splitter


def one_part(config: OnePartConfig, _context: Context) -> "OnePart":
    """Return the splitter `one_part`."""
    return OnePart(config.part)


@attrs.frozen
class ByLog:
    """Puts whole logs into parts, by a hash of the log's name.

    A log's part depends on its name, the fractions and the salt alone, so that adding logs moves none. The fractions are
    expectations: of a few logs, a part may get none.
    """

    config: ByLogConfig

    def split(self, listing: Listing) -> dict[str, Rows]:
        """Return the ascending rows of each part."""
        edges = np.cumsum([self.config.train, self.config.val, self.config.test])
        edges[np.isclose(edges, 1.0)] = 1.0
        places = np.asarray([self._place(name) for name in listing.logs.values], np.float64)
        part_of_log = np.searchsorted(edges, places, side="right")
        part_of_row = part_of_log[listing.logs.codes] if len(listing) else np.zeros(0, np.int64)
        return {part: np.flatnonzero(part_of_row == number) for number, part in enumerate(PARTS)}

    def _place(self, log: str) -> float:
        """Return where a log stands in [0, 1)."""
        digest = hashlib.blake2b(log.encode(), digest_size=6, key=self._key()).digest()
        return int.from_bytes(digest, "big") / 2**48

    def _key(self) -> bytes:
        return hashlib.blake2b(self.config.salt.encode(), digest_size=16).digest() if self.config.salt else b""


class ByTokenList:
    """Puts the scenarios of given tokens into parts; the others belong to none."""

    def __init__(self, tokens: dict[str, tuple[str, ...]], context: Context) -> None:
        """Take the tokens of each part.

        Raises:
            PlutoError: Two parts share a token.
        """
        self._tokens = {part: frozenset(named) for part, named in tokens.items()}
        self._note = context.note
        parts = list(self._tokens)
        for number, one in enumerate(parts):
            for other in parts[number + 1 :]:
                shared = sorted(self._tokens[one] & self._tokens[other])
                if shared:
                    message = f"splitter by_token_list: {one} and {other} share {_some(shared)}; a scenario is in one part"
                    raise PlutoError(message)

    @property
    def digest(self) -> str:
        """Return 32 hex digits that depend on which token is in which part, not on files or order."""
        document = json.dumps({part: sorted(tokens) for part, tokens in sorted(self._tokens.items())})
        return hashlib.blake2b(document.encode(), digest_size=16).hexdigest()

    def split(self, listing: Listing) -> dict[str, Rows]:
        """Return the ascending rows of each part; tokens that the listing lacks are told to the user."""
        every = [token.decode() for token in listing.tokens.tolist()]
        present = frozenset(every)
        rows: dict[str, Rows] = {}
        for part in PARTS:
            wanted = self._tokens.get(part, frozenset())
            rows[part] = np.flatnonzero(np.fromiter((token in wanted for token in every), np.bool_, len(every)))
            missing = sorted(wanted - present)
            if missing:
                self._note(
                    f"splitter by_token_list: {len(missing)} of {len(wanted)} tokens of {part} not found: {_some(missing)}"
                )
        return rows


@attrs.frozen
class OnePart:
    """Puts every scenario into one part."""

    part: str

    def split(self, listing: Listing) -> dict[str, Rows]:
        """Return every row for one part, none for the others."""
        return {part: np.arange(len(listing) if part == self.part else 0) for part in PARTS}


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file: a JSON list of texts, or lines whose first field is a token.

    Empty lines, lines that begin with `#`, and a header line that begins with `token` are passed over.

    Raises:
        PlutoError: The file cannot be read or holds no tokens.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        message = f"splitter by_token_list: {path} cannot be read: {reason}"
        raise PlutoError(message) from None
    try:
        tokens = _from_json(text, path) if text.lstrip().startswith("[") else _from_lines(text)
    except (RecursionError, csv.Error) as error:
        message = f"splitter by_token_list: {path} holds no tokens: {error}"
        raise PlutoError(message) from None
    if not tokens:
        message = f"splitter by_token_list: {path} holds no tokens"
        raise PlutoError(message)
    odd = next((token for token in tokens if not (token.isascii() and token.isprintable())), None)
    if odd is not None:
        message = f"splitter by_token_list: {path}: {odd[:_LONGEST]!r} is no token"
        raise PlutoError(message)
    return tokens


def _from_json(text: str, path: Path) -> tuple[str, ...]:
    try:
        tokens = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"splitter by_token_list: {path}:{error.lineno}: {error.msg}"
        raise PlutoError(message) from None
    if not all(isinstance(token, str) for token in tokens):
        message = f"splitter by_token_list: {path} must be a list of texts"
        raise PlutoError(message)
    return tuple(tokens)


def _from_lines(text: str) -> tuple[str, ...]:
    fields = (row[0].strip() for row in csv.reader(text.splitlines()) if row)
    tokens = [field for field in fields if field and not field.startswith("#")]
    return tuple(tokens[1:] if tokens[:1] == ["token"] else tokens)


def _some(tokens: list[str]) -> str:
    more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
    return ", ".join(tokens[:_SHOWN]) + more
