"""How broken parts are declared: each is a small part with one defect, and says which tests of its suite catch it."""

import re

from pluto_core import Component


def caught_by(*tests):
    """Mark a class as broken, caught by these tests at least."""

    def mark(cls):
        cls.caught_by = tests
        return cls

    return mark


def parts(module):
    """Return the broken classes of a module by the names under which they are registered."""
    own = (found for found in vars(module).values() if isinstance(found, type) and "caught_by" in vars(found))
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in own}


def components(module, config="pluto_core.testing.config:NothingConfig", **more):
    """Return a component for each broken class, whose constructor is its factory."""
    return [
        Component(
            name,
            factory=f"{module.__name__}:{cls.__name__}",
            config=config,
            summary=cls.__doc__,
            **{**more, **getattr(cls, "more", {})},
        )
        for name, cls in parts(module).items()
    ]
