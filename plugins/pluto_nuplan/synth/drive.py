"""One drive through the town: the traffic of some seconds, recorded step by step and read at any time in between."""

import attrs
import numpy as np

from pluto_nuplan.synth.changing import faded
from pluto_nuplan.synth.crossing import NONE
from pluto_nuplan.synth.crowd import Pedestrians, Things, place_things
from pluto_nuplan.synth.curves import Array, lengths, unit
from pluto_nuplan.synth.drivers import Fleet, draw_fleet
from pluto_nuplan.synth.ego import AXLE_TO_CENTRE_M, Past, choose_ego
from pluto_nuplan.synth.roads import Ints, Roads
from pluto_nuplan.synth.signals import Signals, draw_signals
from pluto_nuplan.synth.surroundings import Surroundings
from pluto_nuplan.synth.town import Town
from pluto_nuplan.synth.traffic import STEP_S, Traffic

_WARM_UP_S = 10.0
_WINDOW_M = 380.0
_VEHICLE_EVERY_M = 42.0
_PERSON_EVERY_M = 62.0
_SPARE_STEPS = 4
_LOOK_BACK_M = 1.6
_DENSE_S = 0.01
_CHANGE = ("change_s", "change_m", "change_from_m", "change_way_m", "stretch")
_RECORDED = ("edge", "along_m", "speed_mps", "acceleration_mps2", "onward", "odometer_m", *_CHANGE)


@attrs.frozen(eq=False)
class World:
    """What does not change from drive to drive."""

    town: Town
    roads: Roads
    surroundings: Surroundings


@attrs.frozen(eq=False)
class Drive:
    """A recorded drive; arrays of steps have shape (K, N), one step every `STEP_S` from `start_s` on.

    Attributes:
        ego: Index of the recording vehicle, -1 where it is parked at `parked` (x, y, heading of its rear axle).
        steps: State at the beginning of each step by name; accelerations hold during the step.
            `gap_m` and `ahead_mps` are distance and speed of the vehicle ahead.
        people_m: Positions of people, shape (K, P, 2).
        onward: Edges that the ego is on after the last step, and is to drive next.
    """

    behaviour: str
    world: World
    signals: Signals
    fleet: Fleet
    ego: int
    parked: Array | None
    start_s: float
    steps: dict[str, Array]
    people_m: Array
    people: Pedestrians
    things: Things
    onward: tuple[int, ...]

    def vehicle_poses(self, times_s: Array, chosen: Ints) -> tuple[Array, Array, Array]:
        """x, y and heading of the middles of chosen vehicles at times since the start, each (T, chosen)."""
        return self._poses(times_s, chosen, 0.0)

    def ego_poses(self, times_s: Array) -> Array:
        """x, y and heading of the ego's rear axle at times since the start, shape (T, 3).

        It follows the way of the vehicle's middle and has its direction, so that it moves along its heading.
        """
        if self.parked is not None:
            return np.tile(self.parked, (len(times_s), 1))
        one, zero = np.array([self.ego]), np.zeros(1)
        back = [np.concatenate(self._poses(zero, one, -shift)) for shift in np.linspace(1.0, 0.0, 12)[:-1] * _LOOK_BACK_M]
        dense_s = np.arange(0.0, times_s[-1] + _DENSE_S, _DENSE_S)
        way = np.concatenate((np.stack(back)[..., 0], np.concatenate(self._poses(dense_s, one, 0.0), axis=1)))
        way[:, 2] = np.unwrap(way[:, 2])
        driven = lengths(way[:, :2])
        now = np.interp(times_s, dense_s, driven[len(back) :]) - AXLE_TO_CENTRE_M
        return np.column_stack([np.interp(now, driven, column) for column in way.T])

    def _poses(self, times_s: Array, chosen: Ints, shift_m: float) -> tuple[Array, Array, Array]:
        """Poses of points `shift_m` before the middles of vehicles along their ways."""
        step = np.clip((times_s / STEP_S).astype(np.int64), 0, len(self.people_m) - 1)
        since = (times_s - step * STEP_S)[:, None]
        now = {name: values[step][:, chosen] for name, values in self.steps.items()}
        way = (now["speed_mps"] * since + now["acceleration_mps2"] * since**2 / 2) * now["stretch"] + shift_m
        edge, along = now["edge"].astype(np.int64), now["along_m"] + way
        length = self.world.roads.length_m
        before = now["previous"].astype(np.int64)
        over, under = along > length[edge], along < 0
        along = np.where(over, along - length[edge], np.where(under, along + length[before], along))
        edge = np.where(over, now["onward"].astype(np.int64), np.where(under, before, edge))
        x, y, heading = self.world.roads.pose(edge, along)
        aside, slope = self._aside(chosen, now["odometer_m"] + way, now)
        x, y = x - aside * np.sin(heading), y + aside * np.cos(heading)
        return x, y, heading + np.arctan(slope)

    def _aside(self, chosen: Ints, odometer: Array, now: dict[str, Array]) -> tuple[Array, Array]:
        """Distance to the left of the middle of the lane, and its slope along the way."""
        fleet = self.fleet
        wave = 2 * np.pi / fleet.sway_wave_m[chosen]
        angle = odometer * wave + fleet.sway_phase_rad[chosen]
        left, rate = faded((odometer - now["change_from_m"]) / now["change_way_m"])
        aside = fleet.aside_m[chosen] + fleet.sway_m[chosen] * np.sin(angle) + now["change_m"] * left
        slope = fleet.sway_m[chosen] * wave * np.cos(angle) + now["change_m"] * rate / now["change_way_m"]
        return aside, slope

    def people_positions(self, times_s: Array) -> Array:
        """Positions of people at times since the start, shape (T, P, 2)."""
        place = np.clip(times_s / STEP_S, 0, len(self.people_m) - 1.001)
        step = place.astype(np.int64)
        share = (place - step)[:, None, None]
        blended: Array = (1 - share) * self.people_m[step] + share * self.people_m[step + 1]
        return blended

    def ego_edges(self) -> Ints:
        """The edge of the ego at every step, shape (K,)."""
        return self.steps["edge"][:, self.ego].astype(np.int64)


def drive(world: World, behaviour: str, seconds: float, density: float, rng: np.random.Generator) -> Drive:
    """Let the traffic run, record `seconds` of it, and choose the recording vehicle."""
    signals = draw_signals(world.town, rng)
    centre = world.town.junctions[int(rng.integers(len(world.town.junctions)))].centre_m
    parked, slot = None, None
    if behaviour == "parked":
        slot, parked = _parking_place(world, centre, rng)
        centre = slot[:2]
    window = (centre, _WINDOW_M)
    things = place_things(world.surroundings, window, density, rng)
    if slot is not None:
        things = _clear(things, slot)
    people = Pedestrians(world.surroundings, signals, window, _PERSON_EVERY_M / density, rng)
    traffic = _fill_roads(world, signals, window, density, rng)
    for _ in range(round(_WARM_UP_S / STEP_S)):
        _step(traffic, people)
    start_s = traffic.time_s
    steps, people_m = _record(traffic, people, seconds)
    ego = NONE
    if parked is None:
        names = [field.name for field in attrs.fields(Past)][2:]
        past = Past(start_s, STEP_S, **{name: steps[name] for name in names})
        ego = choose_ego(past, traffic.fleet, world.roads, behaviour, centre, rng)
    state = traffic.state
    return Drive(
        behaviour=behaviour,
        world=world,
        signals=signals,
        fleet=traffic.fleet,
        ego=ego,
        parked=parked,
        start_s=start_s,
        steps=steps,
        people_m=people_m,
        people=people,
        things=things,
        onward=(int(state.edge[ego]), int(state.onward[ego]), int(state.beyond[ego])),
    )


def _step(traffic: Traffic, people: Pedestrians) -> tuple[dict[str, Array], Array]:
    positions = people.step(STEP_S, traffic.time_s, traffic.claims.arms_in_use())
    state = traffic.step(people.walked_halves())
    return {name: getattr(state, name) for name in _RECORDED}, positions


def _record(traffic: Traffic, people: Pedestrians, seconds: float) -> tuple[dict[str, Array], Array]:
    rows: dict[str, list[Array]] = {name: [] for name in (*_RECORDED, "previous", "gap_m", "ahead_mps")}
    positions = []
    previous = traffic.state.edge.astype(np.float64)
    for _ in range(round(seconds / STEP_S) + _SPARE_STEPS):
        step, walked = _step(traffic, people)
        if rows["edge"]:
            previous = np.where(step["edge"] != rows["edge"][-1], rows["edge"][-1], previous)
        ahead = traffic.ahead
        for name, values in (*step.items(), ("previous", previous), ("gap_m", ahead.gap_m), ("ahead_mps", ahead.speed_mps)):
            rows[name].append(values)
        positions.append(walked)
    return {name: np.stack(values) for name, values in rows.items()}, np.stack(positions)


def _parking_place(world: World, centre: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """A slot of the car park next to a point, and the pose of the rear axle of an ego that stands in its middle."""
    parks = world.surroundings.car_parks
    park = min(parks, key=lambda each: float(np.hypot(*(each.slots[:, :2].mean(axis=0) - centre))))
    slot: Array = park.slots[int(rng.integers(len(park.slots)))]
    axle = slot.copy()
    axle[:2] -= AXLE_TO_CENTRE_M * unit(slot[2])
    return slot, axle


def _clear(things: Things, slot: Array) -> Things:
    keep = np.hypot(*(things.pose[:, :2] - slot[:2]).T) > 1.0
    category = tuple(name for name, kept in zip(things.category, keep, strict=True) if kept)
    return Things(category, things.pose[keep], things.size_m[keep])


def _fill_roads(
    world: World, signals: Signals, window: tuple[Array, float], density: float, rng: np.random.Generator
) -> Traffic:
    """Put vehicles on all lanes near by, at speeds from which they can stop for what is ahead."""
    roads = world.roads
    edges: list[int] = []
    places: list[float] = []
    spare = max(_VEHICLE_EVERY_M / density - 9.0, 2.5)
    for lane in world.town.lanes:
        if np.abs(lane.line_m[len(lane.line_m) // 2] - window[0]).max() > window[1]:
            continue
        along = 5.0 + rng.exponential(spare)
        while along < roads.length_m[lane.index] - 6.0:
            edges.append(lane.index)
            places.append(along)
            along += 9.0 + rng.exponential(spare)
    edge, along_m = np.array(edges), np.array(places)
    ahead_m = roads.length_m[edge] - along_m
    same = edge[1:] == edge[:-1]
    ahead_m[:-1][same] = np.diff(along_m)[same]
    speed = np.minimum(0.8 * roads.allowed_speed(edge, along_m), np.sqrt(3.0 * np.maximum(ahead_m - 8.0, 0.0)))
    arms = np.array([connector.arms for connector in world.town.connectors])
    fleet = draw_fleet(roads.beside[edge, 1] == NONE, rng)
    return Traffic(roads, signals, fleet, (edge, along_m, speed), rng, arms)
