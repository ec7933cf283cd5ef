"""What the LMDB plugin offers keeps the contracts of its kinds."""

from pluto_core.testing import CacheSuite, HooksSuite

LMDB = "pluto_lmdb.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = LMDB


class TestLmdb(CacheSuite):
    """`lmdb`."""

    hooks, use = LMDB, "lmdb"
