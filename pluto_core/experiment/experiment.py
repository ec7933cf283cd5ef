"""One experiment: what was read, checked and resolved, and the way from there to components."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core.arrays import ArraySpec, join
from pluto_core.component import Context, Requirement
from pluto_core.errors import ExperimentError, Mistake
from pluto_core.experiment.nodes import Node
from pluto_core.experiment.sections import ask
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import BY_SECTION
from pluto_core.moments import Selection
from pluto_core.plugins import Catalogue
from pluto_core.settings import CacheSettings, LoaderSettings, Step


@attrs.frozen(kw_only=True, eq=False)
class Experiment:
    """A resolved experiment without mistakes."""

    path: Path
    """Its file."""
    name: str
    seed: int
    steps: tuple[Step, ...]
    output_dir: Path
    """Folder that holds its runs; relative to the working directory."""
    checkpoint: str
    """`best`, `last`, or a path: what is judged."""
    max_failures: int | None
    filter: ScenarioFilter
    loader: LoaderSettings
    cache: CacheSettings
    """`path` is filled in."""
    catalogue: Catalogue = attrs.field(repr=False)
    resolved: str = attrs.field(repr=False)
    """TOML text that repeats the run; each line names its origin in a comment."""
    tree: Node = attrs.field(repr=False)
    """The same with origins, for programs."""
    notes: tuple[Mistake, ...] = ()
    """What is no mistake, but worth a look."""
    unset: tuple[Mistake, ...] = ()
    """Environment variables that it names and that are not set."""
    lacking: tuple[Mistake, ...] = ()
    """Components that it selects and whose extra is not installed."""
    _selections: Mapping[str, tuple[Selection, ...]] = attrs.field(alias="selections", factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Return all settings as plain values; two experiments with equal settings do the same."""
        found: dict[str, Any] = self.tree.plain()
        return found

    def require_variables(self) -> None:
        """Make sure that nothing is missing that only a run needs.

        Raises:
            ExperimentError: An environment variable is not set.
        """
        if self.unset:
            raise ExperimentError(list(self.unset))

    def require_extras(self) -> None:
        """Make sure that everything is installed that its components need, so that no run ends after hours for lack of it.

        Raises:
            ExperimentError: An extra is not installed.
        """
        if self.lacking:
            raise ExperimentError(list(self.lacking))

    def selected(self, section: str) -> tuple[Selection, ...]:
        """Return what a section selects, in the order of the file; empty where it selects nothing."""
        return self._selections.get(section, ())

    def make(self, section: str, context: Context) -> Any:
        """Return the component that a section selects; None where it selects none."""
        made = self.make_all(section, context)
        return made[0] if made else None

    def make_all(self, section: str, context: Context) -> tuple[Any, ...]:
        """Return the components that a section selects, in order.

        Raises:
            PlutoError: An extra is not installed, or a factory refuses its settings.
        """
        kind = BY_SECTION[section]
        return tuple(
            self.catalogue.make(kind.name, selection.use, selection.config, context) for selection in self.selected(section)
        )

    def requirement(self) -> Requirement | None:
        """Return what the model needs of samples; None without a model, or where it does not say."""
        selected = self.selected("model")
        found: Requirement | None = ask(self.catalogue, selected[0], "requires") if selected else None
        return found

    def sample_spec(self) -> dict[str, ArraySpec]:
        """Return the specs of the arrays that features and targets give, as far as their plugins say without building them."""
        chosen: Sequence[Selection] = (*self.selected("features"), *self.selected("targets"))
        return join((selection.use, ask(self.catalogue, selection, "provides") or {}) for selection in chosen)
