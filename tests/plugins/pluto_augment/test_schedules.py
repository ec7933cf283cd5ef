import pytest

from pluto_augment.schedules import ramp


def test_ramp():
    """Even from the first to the last value, then constant; constant throughout without a last value."""
    assert [ramp(0.2, 0.8, 3, epoch) for epoch in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert [ramp(0.8, 0.2, 2, epoch) for epoch in range(4)] == pytest.approx([0.8, 0.5, 0.2, 0.2])
    assert {ramp(0.3, None, 5, epoch) for epoch in range(9)} == {0.3}
