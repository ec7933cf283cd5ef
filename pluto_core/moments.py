"""What hooks see of an experiment, of a step and of the machine, and what they say about it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

if TYPE_CHECKING:
    from pluto_core.plan import Plan
    from pluto_core.scene import ScenarioId
    from pluto_core.settings import LoaderSettings
    from pluto_core.sketch import Sketch


@attrs.frozen(kw_only=True)
class Selection:
    """One component that an experiment selects."""

    section: str
    use: str
    config: Any
    where: str = ""
    """`file:line` of its table."""


class ExperimentView(Protocol):
    """A resolved experiment."""

    name: str
    steps: Sequence[str]

    @property
    def loader(self) -> "LoaderSettings":
        """Return `[loader]`."""
        ...

    def selected(self, section: str) -> Sequence[Selection]:
        """Return what a section selects, in the order of the file; empty where the section is absent."""
        ...


class DrawnScenario(Protocol):
    """One evaluated scenario that can be drawn."""

    id: "ScenarioId"
    scenario_type: str
    sketch: "Sketch"
    """The sample, with the truth."""
    plan: "Plan"
    """(1, K, T, 3), best mode first."""
    errors: Mapping[str, float]
    """`ade_top1_m` and the like; NaN where unknown."""


class StepView(Protocol):
    """A step of a run."""

    name: str
    experiment: ExperimentView
    run_dir: Path

    def scenarios(self, count: int) -> Sequence[DrawnScenario]:
        """Return up to `count` evaluated scenarios to draw, spread over the part; none before `validate` and `test`."""
        ...

    def note(self, text: str) -> None:
        """Say one line to the user."""
        ...


@attrs.frozen(kw_only=True)
class StepReport:
    """What a step did."""

    numbers: Mapping[str, Any]
    files: Mapping[str, Path]
    seconds: float


@attrs.frozen(kw_only=True)
class Surroundings:
    """What a check of `pluto doctor` may look at."""

    environment: Mapping[str, str]
    """Environment variables."""
    cache_home: Path
    """The user's cache folder; it may not exist yet."""
    progress: Callable[[int, int], None] = lambda _done, _total: None
    """Told how many of how many things are looked at, where that takes long."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that `pluto doctor` looked at."""

    subject: str
    """What it is about: a package, a folder, a variable."""
    state: Literal["ok", "note", "broken"]
    """`broken` is what keeps pluto from working as it is set up, and makes the command end with 1; the rest does not."""
    text: str
    """What was found."""
    advice: str = ""
    """What to do about it."""
    command: str = ""
    """A command to try next."""
