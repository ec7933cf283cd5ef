"""What proves stored samples: the checks that builders offer."""

from collections.abc import Callable, Sequence

from pluto_core.protocols import SampleChecker, SceneBuilder
from pluto_core.samples import Sample

MakeBuilders = Callable[[], Sequence[tuple[str, SceneBuilder]]]
"""Gives builders by tag; picklable, called once in every process."""
Check = Callable[[Sample], None]
"""Raises `SampleError` where a sample is not one that its builder could have returned."""


def checks_of(make_builders: MakeBuilders | None) -> dict[str, Check]:
    """Return the checks of those builders that offer one, by tag; None stands for no builders."""
    return {tag: one.check for tag, one in make_builders() if isinstance(one, SampleChecker)} if make_builders else {}
