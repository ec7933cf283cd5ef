from pluto_core.testing import BuilderSuite, CacheSuite, HooksSuite


class TestHooks(HooksSuite):
    hooks = "pluto_neighbors.hooks"


class TestNeighbors(BuilderSuite):
    hooks, use = "pluto_neighbors.hooks", "neighbors"


class TestSqlite(CacheSuite):
    hooks, use = "pluto_neighbors.hooks", "sqlite"
