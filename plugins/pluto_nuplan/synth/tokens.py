"""Tokens: eight bytes that look random, are unique within a table, and are the same for the same seed everywhere."""

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)


def make_tokens(count: int, *key: object) -> list[bytes]:
    """The first `count` tokens of the table that `key` names (splitmix64 of a counter, big-endian)."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    value = np.uint64(int.from_bytes(digest, "big")) + np.arange(1, count + 1, dtype=np.uint64) * _STEP
    for shift, factor in _MIX:
        value = (value ^ (value >> np.uint64(shift))) * factor
    data = (value ^ (value >> _LAST_SHIFT)).astype(">u8").tobytes()
    return [data[at : at + 8] for at in range(0, len(data), 8)]
