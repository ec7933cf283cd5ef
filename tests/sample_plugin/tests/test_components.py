from pluto_core.testing import BuilderSuite, CacheSuite, HooksSuite
from pluto_lightning.testing import ModelSuite, ObjectiveSuite


class TestHooks(HooksSuite):
    hooks = "pluto_neighbors.hooks"


class TestNeighbors(BuilderSuite):
    hooks, use = "pluto_neighbors.hooks", "neighbors"


class TestSqlite(CacheSuite):
    hooks, use = "pluto_neighbors.hooks", "sqlite"


class TestPlanner(ModelSuite):
    hooks, use = "pluto_neighbors.hooks", "neighbors"


class TestObjective(ObjectiveSuite):
    hooks, use = "pluto_neighbors.hooks", "neighbors"
