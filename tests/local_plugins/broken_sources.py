"""Sources, each with one defect."""

import os
import sys

import attrs
import numpy as np
from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_core.jobs import Identity
from pluto_core.scene import Tracks
from pluto_core.testing.config import FakeSourceConfig
from pluto_core.testing.fakes import FakeSource


class _Source(FakeSource):
    def __init__(self, *_):
        super().__init__(FakeSourceConfig(logs=2, scenarios=4, agents=5))


class _Changed(_Source):
    """Changes every scene."""

    def load(self, scenario, window):
        """Return the changed scene."""
        return self.changed(super().load(scenario, window))


@caught_by("test_keeps_the_protocol")
class Inventive(_Source):
    """Answers a field that no filter has."""

    answers = frozenset({"weather"})


@caught_by("test_ids_are_unique_and_in_order")
class Untidy(_Source):
    """Lists scenarios backwards."""

    def list(self, wanted):
        """Return descending times."""
        listing = super().list(wanted)
        return listing.take(np.arange(len(listing))[::-1])


@caught_by("test_ids_are_stable")
class Shuffling(_Source):
    """Lists another scenario less every time."""

    def list(self, wanted):
        """Return all but one."""
        listing = super().list(wanted)
        Shuffling.turn = getattr(Shuffling, "turn", 0) + 1
        return listing.take(np.delete(np.arange(len(listing)), Shuffling.turn % len(listing)))


@caught_by("test_lists_what_is_asked_for")
class Obstinate(_Source):
    """Lists everything, whatever the filter wants."""

    def list(self, wanted):
        """Return all."""
        return super().list(type(wanted)())


@caught_by("test_logs_can_be_listed_apart")
class Forgetful(_Source):
    """Does not name all of its logs."""

    def logs(self):
        """Return one."""
        return ["log-0"]


@caught_by("test_columns")
class Clueless(_Source):
    """Answers with NaN."""

    answers = FakeSource.answers | {"ego_displacement_minimum_m"}

    def columns(self, listing, names, wanted):
        """Return unknown distances."""
        return {name: np.full(len(listing), np.nan) for name in names}


@caught_by("test_scenes_are_valid")
class Mistaken(_Changed):
    """Gives a scene another name."""

    def changed(self, scene):
        """Return the scene under another log."""
        return attrs.evolve(scene, id=attrs.evolve(scene.id, log="other"))


@caught_by("test_missing_values_are_masked")
class Leaking(_Changed):
    """Shows places where nobody was seen."""

    def changed(self, scene):
        """Return ones where tracks are not valid."""
        tracks = scene.tracks
        return attrs.evolve(scene, tracks=attrs.evolve(tracks, heading=np.where(tracks.valid, tracks.heading, 1.0)))


@caught_by("test_missing_values_are_masked")
class Crowding(_Changed):
    """Does not put those first who are there at present."""

    def changed(self, scene):
        """Return tracks in another order."""
        rows = {name: value[::-1] for name, value in attrs.asdict(scene.tracks, recurse=False).items()}
        return attrs.evolve(scene, tracks=Tracks(**rows))


@caught_by("test_lights_are_in_order")
class Flickering(_Changed):
    """Tells lights backwards."""

    def changed(self, scene):
        """Return lights by descending step."""
        return attrs.evolve(scene, lights=attrs.evolve(scene.lights, step=scene.lights.step[::-1].copy()))


@caught_by("test_loading_is_pure", "test_loading_many_is_loading_one_by_one", "test_narrow_window", "test_pickled")
class Drifting(_Changed):
    """Drives further every time."""

    def changed(self, scene):
        """Return another speed each time."""
        Drifting.turn = getattr(Drifting, "turn", 0) + 1
        return attrs.evolve(scene, ego=attrs.evolve(scene.ego, velocity=scene.ego.velocity + Drifting.turn))


@caught_by("test_loading_many_is_loading_one_by_one")
class Abrupt(_Source):
    """Stops at the first scenario that cannot be read."""

    def load_many(self, scenarios, window):
        """Yield scenes until one fails."""
        for scenario in scenarios:
            yield self.load(scenario, window)


@caught_by("test_narrow_window")
class Shortsighted(_Changed):
    """Sees static objects in wide windows only."""

    def changed(self, scene):
        """Return less where less is asked for."""
        return scene if scene.window.future_s > 1.5 else attrs.evolve(scene, goal=None)


@caught_by("test_short_recordings")
class Strict(_Source):
    """Refuses windows beyond the recording."""

    def load(self, scenario, window):
        """Raise where the window is long."""
        if window.future_s > 60:
            message = "the recording ends"
            raise ValueError(message)
        return super().load(scenario, window)


@caught_by("test_unknown_scenarios_are_sample_errors")
class Crashing(_Source):
    """Raises the wrong error for what is not there."""

    def load(self, scenario, window):
        """Raise a KeyError for an unknown log."""
        if not scenario.log.startswith("fake-"):
            raise KeyError(scenario.log)
        return super().load(scenario, window)


@caught_by("test_pickled", "test_identity")
class Immovable(_Source):
    """Holds what cannot be pickled, and names folders."""

    def __getstate__(self):
        """Refuse."""
        message = "cannot be pickled"
        raise TypeError(message)

    def identity(self):
        """Return the size of a file with its folder."""
        return Identity(reader="fake/1", settings={}, dataset={"/data/log.db": 1})


@caught_by("test_works_in_a_worker_process")
class Homesick(_Changed):
    """Drives as fast as the number of its process."""

    def changed(self, scene):
        """Return what other processes do not give."""
        return attrs.evolve(scene, ego=attrs.evolve(scene.ego, yaw_rate=scene.ego.yaw_rate + os.getpid() % 997))


@caught_by("test_identity")
class Nameless(_Source):
    """Does not say what it reads."""

    def identity(self):
        """Return nothing."""
        return Identity(reader="", settings={}, dataset={})


@caught_by("test_facts_are_true")
class Boasting(_Source):
    """Says that it answers nothing."""

    more = {"facts": {"answers": frozenset()}}  # noqa: RUF012


@hookimpl
def pluto_register_sources():
    """Return all of them."""
    return components(sys.modules[__name__])
