"""What the Lightning plugin offers keeps the contracts of its kinds."""

import pluto_lightning.trainer  # noqa: F401 -- Lightning sets a variable when it is first imported
from pluto_core.testing import HooksSuite

LIGHTNING = "pluto_lightning.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = LIGHTNING
