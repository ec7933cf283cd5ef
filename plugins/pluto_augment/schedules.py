"""Values that change from epoch to epoch."""

from pluto_augment.config import Scheduled


def ramp(first: float, last: float | None, config: Scheduled, epoch: int) -> float:
    """Return the value of an epoch: from `first` in epoch 0 to `last` from epoch number `config.ramp_epochs` on.

    Between them it changes evenly, or with milestones in steps: each takes it to where the even change is by then.

    Args:
        first: Value of epoch 0.
        last: Value at the end; None: `first` throughout.
        config: How many epochs the change takes, and its milestones.
        epoch: Number of the epoch, from 0.
    """
    if last is None:
        return first
    progress = min(epoch / config.ramp_epochs, 1.0)
    if config.ramp_milestones:
        progress = max((share for share in config.ramp_milestones if share <= progress), default=0.0)
    return first + (last - first) * progress
