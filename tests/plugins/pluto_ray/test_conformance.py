"""What the Ray plugin offers keeps the contract of hooks; test_worker.py holds the worker to its own."""

from pluto_core.testing import HooksSuite

RAY = "pluto_ray.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = RAY
