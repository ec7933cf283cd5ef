"""Samples of PLUTO's features for the tests of augmentations, made in memory."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluto_core.scene import LightStatus
from pluto_core.testing.scenes import make_scene
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

NOW = 20
"""Index of the present step."""

Sample = dict[str, np.ndarray]


def build(*, agents: int = 5, seed: int = 4, light: LightStatus = LightStatus.RED, **settings: Any) -> Sample:
    """Return the sample of a made scene."""
    return PlutoFeatures(PlutoFeaturesConfig(**settings)).build(make_scene(agents=agents, seed=seed, light=light))


def waiting(sample: Sample) -> Sample:
    """Return the sample as if nothing but the red light kept the ego vehicle waiting."""
    assert sample["causal/ego_care_red_light_mask"].any()
    return sample | {"causal/is_waiting_for_red_light_without_lead": np.ones((), np.bool_)}


def free(sample: Sample) -> Sample:
    """Return the sample as if the expert's way from 3 to 5 s were free, and nobody led or interacted."""
    steps = slice(NOW + 30, NOW + 50)
    poses = np.column_stack([sample["agent/position"][0, steps], sample["agent/heading"][0, steps]])
    nobody = {"causal/leading_agent_mask": False, "causal/interaction_label": 0.0, "causal/leading_distance": 0.0}
    nothing = {key: np.full_like(sample[key], value) for key, value in nobody.items()}
    return sample | nothing | {"causal/free_path_points": poses.astype(np.float32)}


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """Return samples by what can be varied in them; not to be written to."""
    led = build()
    everything = {
        "led": led,
        "waits": waiting(led),
        "free": free(led),
        "alone": build(agents=0, light=LightStatus.GREEN),
        "other": build(seed=1, agents=4),
    }
    for sample in everything.values():
        for array in sample.values():
            array.flags.writeable = False
    return SimpleNamespace(**everything, all=tuple(everything.values()))


@pytest.fixture(scope="session")
def spec() -> Any:
    """Return the spec of the samples."""
    return PlutoFeatures(PlutoFeaturesConfig()).spec


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    """Return the makers of this file by name."""
    return SimpleNamespace(build=build, waiting=waiting, free=free, now=NOW)
