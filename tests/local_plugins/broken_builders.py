"""Feature builders, each with one defect."""

import os
import sys

import attrs
import numpy as np
from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_core.errors import Reason, SampleError
from pluto_core.sketch import Sketch
from pluto_core.testing.fake_samples import FakeAgents

KEY = "agent/position"


class _Agents(FakeAgents):
    def __init__(self, config, _context):
        super().__init__(config)


@caught_by("test_keeps_the_protocol")
class Unversioned(_Agents):
    """Has no version."""

    version = ""


@caught_by("test_output_is_what_the_spec_says", "test_samples_make_a_batch", "test_samples_can_be_stored")
class Wide(_Agents):
    """Gives float64 where it announces float32."""

    def build(self, scene):
        """Return wide positions."""
        sample = super().build(scene)
        return {**sample, KEY: sample[KEY].astype(np.float64) / 3}


@caught_by("test_output_is_what_the_spec_says")
class NotFinite(_Agents):
    """Gives NaN for agents that are not there."""

    def build(self, scene):
        """Return NaN where not valid."""
        sample = super().build(scene)
        return {**sample, KEY: np.where(sample["agent/valid"][..., None], sample[KEY], np.float32("nan"))}


@caught_by("test_spec_is_what_the_plugin_provides")
class TwoFaced(_Agents):
    """Announces another unit than its plugin does."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.spec = {**self.spec, KEY: attrs.evolve(self.spec[KEY], unit="ft")}


@caught_by("test_no_state_between_scenes")
class Remembering(_Agents):
    """Counts the scenes."""

    count = 0

    def build(self, scene):
        """Return positions that depend on what was built before."""
        self.count += 1
        sample = super().build(scene)
        return {**sample, "speed": sample["speed"] + np.float32(self.count)}


@caught_by("test_scene_is_left_alone")
class Scribbling(_Agents):
    """Moves agents in the scene."""

    def build(self, scene):
        """Write into the scene."""
        scene.tracks.position[...] -= 1.0
        return super().build(scene)


@caught_by("test_same_in_another_process")
class Homesick(_Agents):
    """Adds the number of the process."""

    def build(self, scene):
        """Return what other processes do not give."""
        sample = super().build(scene)
        return {**sample, "speed": sample["speed"] + np.float32(os.getpid() % 997)}


@caught_by("test_empty_scene", "test_output_is_what_the_spec_says")
class Sociable(_Agents):
    """Needs an agent."""

    def build(self, scene):
        """Look at the first agent."""
        assert scene.tracks.category[0] >= 0
        return super().build(scene)


@caught_by("test_short_recordings", "test_empty_scene")
class Nostalgic(_Agents):
    """Needs the whole past."""

    def build(self, scene):
        """Refuse short recordings with the wrong kind of error."""
        if not scene.ego.valid.all():
            message = "the past is too short"
            raise ValueError(message)
        return super().build(scene)


@caught_by("test_wider_window_changes_nothing")
class Curious(_Agents):
    """Looks at more of the recording than it was given."""

    def build(self, scene):
        """Return a speed that depends on what lies behind the arrays."""
        sample = super().build(scene)
        behind = scene.ego.position.base
        return {**sample, "speed": np.asarray(0 if behind is None else len(behind), np.float32)}


@caught_by("test_samples_can_be_stored")
class Cramped(_Agents):
    """Stores numbers in a type that cannot hold them."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.spec = {**self.spec, "speed": attrs.evolve(self.spec["speed"], at_rest="float16")}

    def build(self, scene):
        """Return a speed that float16 cannot hold."""
        return {**super().build(scene), "speed": np.asarray(1e6, np.float32)}


@caught_by("test_samples_make_a_batch", "test_output_is_what_the_spec_says")
class Flat(_Agents):
    """Gives one row too few."""

    def build(self, scene):
        """Return flat positions."""
        sample = super().build(scene)
        return {**sample, KEY: sample[KEY].reshape(len(sample[KEY]), -1)}


@caught_by("test_sketch")
class Blurred(_Agents):
    """Draws boxes at no place."""

    def sketch(self, sample):
        """Return boxes at NaN."""
        drawn = super().sketch(sample)
        return Sketch(boxes=tuple(attrs.evolve(box, heading_rad=float("nan")) for box in drawn.boxes))


@caught_by("test_check")
class Suspicious(_Agents):
    """Refuses its own samples."""

    def check(self, _sample):
        """Refuse."""
        raise SampleError(Reason.OUT_OF_RANGE, "too good to be true")


@hookimpl
def pluto_register_features():
    """Return all of them."""
    return components(
        sys.modules[__name__],
        config="pluto_core.testing.config:FakeAgentsConfig",
        provides="pluto_core.testing.schema:agents",
    )
