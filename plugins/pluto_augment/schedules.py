"""Values that change from epoch to epoch."""


def ramp(first: float, last: float | None, epochs: int, epoch: int) -> float:
    """Return the value of an epoch: evenly from `first` in epoch 0 to `last` from epoch number `epochs` on.

    Args:
        first: Value of epoch 0.
        last: Value at the end; None: `first` throughout.
        epochs: How many epochs the change takes, at least 1.
        epoch: Number of the epoch, from 0.
    """
    if last is None:
        return first
    return first + (last - first) * min(epoch / epochs, 1.0)
