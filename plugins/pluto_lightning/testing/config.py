"""Settings of the small model, its objective and the plain trainer."""

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class FakeModelConfig:
    """A planner that looks at the mean of all agents."""

    width: int = setting(16, "Width of its only hidden layer.", minimum=1)
    modes: int = setting(3, "Trajectories that it proposes.", minimum=1)
    history_s: float = setting(1.0, "Seconds of history that it reads.", minimum=0)
    horizon_s: float = setting(2.0, "How far it plans, seconds.", above=0)


@attrs.frozen(kw_only=True)
class FakeObjectiveConfig:
    """The best mode's distance, and which mode that is."""

    choice: float = setting(0.1, "Weight of the choice of modes.", minimum=0)


@attrs.frozen(kw_only=True)
class FakeTrainerConfig:
    """A loop over epochs and batches."""

    epochs: int = setting(2, "Passes over the training scenarios.", minimum=1)
