import pytest

from pluto_augment.config import Scheduled
from pluto_augment.schedules import ramp


def values(first, last, epochs, count, *milestones):
    """Return the values of the first epochs."""
    config = Scheduled(ramp_epochs=epochs, ramp_milestones=milestones)
    return [ramp(first, last, config, epoch) for epoch in range(count)]


def test_ramp():
    """Even from the first to the last value, then constant; constant throughout without a last value."""
    assert values(0.2, 0.8, 3, 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert values(0.8, 0.2, 2, 4) == pytest.approx([0.8, 0.5, 0.2, 0.2])
    assert set(values(0.3, None, 5, 9)) == {0.3}


def test_milestones():
    """The value waits for the next milestone; without one at the end it stays at the last one's."""
    assert values(0.0, 1.0, 4, 6, 0.5, 1.0) == pytest.approx([0.0, 0.0, 0.5, 0.5, 1.0, 1.0])
    assert values(0.0, 1.0, 4, 6, 0.25) == pytest.approx([0.0, 0.25, 0.25, 0.25, 0.25, 0.25])
    for wrong in ((0.5, 0.25), (0.5, 1.5), (0.5, 0.5)):
        with pytest.raises(ValueError, match="ramp_milestones"):
            Scheduled(ramp_milestones=wrong)
