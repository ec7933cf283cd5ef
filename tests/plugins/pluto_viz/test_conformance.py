"""What the plugin of pictures offers keeps the contract of hooks."""

from pluto_core.testing import HooksSuite


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = "pluto_viz.hooks"
