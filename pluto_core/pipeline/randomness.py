"""Chance that depends on names alone: never on workers, ranks, or what was drawn before."""

import hashlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a Philox generator keyed by `seed` and `names`; equal arguments give equal numbers on every machine.

    Args:
        seed: Seed of the experiment.
        names: What the numbers are for, such as `"sampler", epoch`.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (int(seed), *names))
    key = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
