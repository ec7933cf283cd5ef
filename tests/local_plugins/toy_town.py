"""A plugin with a source of made-up scenarios and two targets, for tests of whole cache steps through the command.

What goes wrong is asked for in the experiment file: scenarios that are slow, that cannot be loaded, or that a target refuses
until a file says that it is cured.
"""

import os
import sys
import time
from pathlib import Path

import attrs
import numpy as np

from pluto_core import Component, hookimpl, setting
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.scene import ScenarioId, Window

sys.path.append(str(Path(__file__).parent.parent / "core"))

from cache_world import scene_of


@attrs.frozen(kw_only=True)
class TownConfig:
    """How many scenarios, and what is wrong with them."""

    logs: int = setting(3, "Logs.")
    scenarios: int = setting(10, "Scenarios of a log.")
    delay_s: float = setting(0.0, "Time to load one.")
    lost_every: int = setting(0, "One in so many cannot be loaded; 0: none.")
    edition: int = setting(1, "Part of the identity.")
    begun: str = setting("", "A file of this name is made when the first one is loaded; empty: none.")


@attrs.frozen(kw_only=True)
class MoodConfig:
    """What a target does."""

    number: int = setting(1, "What it says.")
    cure: str = setting("", "One scenario in five fails until there is a file of this name; empty: none fails.")
    kills: str = setting("", "The process is killed when there is a file of this name.")


@attrs.frozen(kw_only=True)
class NoConfig:
    """Nothing to set."""


class Town:
    """The source."""

    answers = frozenset({"log_names", "scenario_types", "scenario_tokens", "map_names"})

    def __init__(self, config, _context):
        self.config = config
        if config.edition == 13:
            message = "thirteen is refused"
            raise PlutoError(message)

    def list(self, wanted):
        """Return every scenario of the types asked for."""
        rows = [
            (ScenarioId(f"log-{log}", f"{log:08x}{place:08x}", 1_000_000 + place * 100_000), f"type-{place % 3}", "town")
            for log in range(self.config.logs)
            for place in range(self.config.scenarios)
        ]
        types = wanted.scenario_types
        return Listing.of([row for row in rows if types is None or row[1] in types])

    def columns(self, _listing, _names, _wanted):
        """Return nothing: no field needs a column."""
        return {}

    def load(self, scenario, window):
        """Return an empty road, unless the scenario is one that is lost."""
        if self.config.begun:
            Path(self.config.begun).touch()
        time.sleep(self.config.delay_s)
        place = scenario.start_us // 100_000
        if self.config.lost_every and place % self.config.lost_every == 0:
            raise SampleError(Reason.UNREADABLE_LOG, "the log is cut off")
        return scene_of(scenario, window)

    def load_many(self, scenarios, window):
        """Yield scenes or errors."""
        for scenario in scenarios:
            try:
                yield self.load(scenario, window)
            except SampleError as error:
                yield error

    def identity(self):
        """Return what the source is."""
        name = f"{self.config.logs} of {self.config.scenarios}.db"
        return Identity(reader="town/1", settings={"edition": self.config.edition}, dataset={name: 7})

    def problems(self):
        """Return nothing: every log can be read."""
        return ()


class Mood:
    """A target: one number."""

    version = "1"
    window = Window()
    spec = {"mood": ArraySpec(dims=(), dtype="float32")}  # noqa: RUF012

    def __init__(self, config, _context):
        self.config = config

    def build(self, scene):
        """Return the number, or fail."""
        if self.config.kills and Path(self.config.kills).exists():
            os.kill(os.getpid(), 9)
        if self.config.cure and scene.id.start_us // 100_000 % 5 == 0 and not Path(self.config.cure).exists():
            raise SampleError(Reason.NO_ROUTE, "not in the mood")
        return {"mood": np.float32(self.config.number).reshape(())}


class Place:
    """A target: where the ego vehicle is."""

    version = "1"
    window = Window(future_s=2.0)
    spec = {"place": ArraySpec(dims=(21, 2), dtype="float64")}  # noqa: RUF012

    def __init__(self, _config, _context):
        """Take no settings."""

    def build(self, scene):
        """Return the positions."""
        return {"place": scene.ego.position.copy()}


@hookimpl
def pluto_register_sources():
    """Return the town."""
    return [Component("town", factory="toy_town:Town", config="toy_town:TownConfig", summary="A made-up town.")]


@hookimpl
def pluto_register_targets():
    """Return both targets."""
    return [
        Component("mood", factory="toy_town:Mood", config="toy_town:MoodConfig", summary="One number."),
        Component("place", factory="toy_town:Place", config="toy_town:NoConfig", summary="Positions."),
    ]
