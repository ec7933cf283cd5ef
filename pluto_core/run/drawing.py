"""What plugins may draw of a step: evaluated scenarios with their sketches."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np

from pluto_core.experiment import Experiment
from pluto_core.plan import Plan
from pluto_core.protocols import Sketcher
from pluto_core.run.evaluation import Judged
from pluto_core.run.workspace import Workspace
from pluto_core.scene import ScenarioId
from pluto_core.sketch import Sketch, joined


@attrs.frozen(kw_only=True, eq=False)
class Drawable:
    """One evaluated scenario that can be drawn (`pluto_core.moments.DrawnScenario`)."""

    id: ScenarioId
    scenario_type: str
    sketch: Sketch
    plan: Plan
    errors: dict[str, float]


@attrs.frozen(kw_only=True, eq=False)
class Step:
    """A step of a run as hooks see it (`pluto_core.moments.StepView`)."""

    name: str
    experiment: Experiment
    run_dir: Path
    workspace: Workspace
    say: Callable[[str], None]
    judged: Judged | None = None

    def note(self, text: str) -> None:
        """Say one line to the user."""
        self.say(text)

    def scenarios(self, count: int) -> Sequence[Drawable]:
        """Return up to `count` evaluated scenarios: from the best final error to the worst, evenly spread."""
        sketchers = [builder for _, builder in self.workspace.made_builders if isinstance(builder, Sketcher)]
        if self.judged is None or not sketchers or not self.judged.ids:
            return []
        errors = self.judged.of("planner")
        order = np.argsort(np.nan_to_num(errors["fde_top1_m"], nan=np.inf), kind="stable")
        picked = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
        plan = Plan.concatenated(self.judged.plans)
        types = self.workspace.types_of(self.judged.ids)
        with contextlib.closing(self.workspace.folder.reader(self.workspace.builders.tags)) as reader:
            samples = reader.get_many([self.judged.ids[row].key for row in picked])
        return [
            Drawable(
                id=self.judged.ids[row],
                scenario_type=types[row],
                sketch=joined([sketcher.sketch(sample) for sketcher in sketchers]),
                plan=Plan(trajectories=plan.trajectories[[row]], probabilities=plan.probabilities[[row]]),
                errors={name: float(values[row]) for name, values in errors.items()},
            )
            for row, sample in zip(picked, samples, strict=True)
        ]
