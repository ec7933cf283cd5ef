import matplotlib.colors
import numpy as np
import pytest

from pluto_core.sketch import Role
from pluto_viz.palette import DARK, LIGHT

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1.
EYES = {
    "all": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TOLD_APART = (
    (Role.EGO, Role.VEHICLE, Role.PEDESTRIAN, Role.BICYCLE),
    (Role.FUTURE, Role.PLAN, Role.REFERENCE_LINE),
    (Role.LIGHT_RED, Role.LIGHT_GREEN),
    (Role.LIGHT_RED, Role.LIGHT_YELLOW),
    (Role.LIGHT_YELLOW, Role.LIGHT_GREEN),
)
LEAST = 18.0
"""CIE76 difference; 2.3 is just noticeable."""


def linear(color):
    rgb = np.asarray(matplotlib.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Return CIELAB of linear sRGB (D65)."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("eyes", EYES)
def test_colours_are_told_apart_by_everybody(theme, eyes):
    """What must not be confused differs also for people who see no red, no green or no blue."""
    for group in TOLD_APART:
        seen = {role: lab(EYES[eyes] @ linear(theme.styles[role].color)) for role in group}
        for place, one in enumerate(group):
            for other in group[place + 1 :]:
                assert np.linalg.norm(seen[one] - seen[other]) > LEAST, (one, other)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_lights_differ_in_shape_and_words_can_be_read(theme):
    """No light is told by its colour alone; text stands out from the paper (WCAG: 4.5)."""
    lights = [theme.styles[role].marker for role in (Role.LIGHT_RED, Role.LIGHT_YELLOW, Role.LIGHT_GREEN)]
    assert len(set(lights)) == 3
    assert all(lights)
    paper = linear(theme.paper) @ [0.2126, 0.7152, 0.0722]
    for color in (theme.ink, theme.muted):
        text = linear(color) @ [0.2126, 0.7152, 0.0722]
        high, low = max(text, paper), min(text, paper)
        assert (high + 0.05) / (low + 0.05) > 4.5
    assert set(theme.styles) == set(Role)
