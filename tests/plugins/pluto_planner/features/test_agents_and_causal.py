"""Ego state, agents, static objects, causal keys and interaction labels in scenes made by hand."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest

from pluto_core.scene import Category, LightStatus, Scene
from pluto_planner.features import ego


def _state(world: SimpleNamespace, *, speed: float, turn: float, parity: bool = False, **known: float) -> list[float]:
    """Return steering angle and yaw rate after a turn of so many radians in a step."""
    vehicle = world.driving(speed_mps=speed)
    vehicle.heading[20] = turn
    if known:
        vehicle.steering_valid[:] = True
        vehicle.steering_angle[20], vehicle.yaw_rate[20] = known["steering"], known["yaw_rate"]
    scene = world.make_scene(world.straight_road(), [11], ego=vehicle)
    return ego.current_state(scene, parity=parity)[5:].tolist()


def test_steering_is_derived_from_headings(world: SimpleNamespace) -> None:
    """A kinematic bicycle, no answer below 0.2 m/s, a clipped yaw rate, angles across pi."""
    assert _state(world, speed=10.0, turn=0.01) == pytest.approx([np.arctan(0.1 * 3.089 / 10), 0.1])
    assert _state(world, speed=10.0, turn=2 * np.pi - 0.01)[1] == pytest.approx(-0.1)
    assert _state(world, speed=0.19, turn=0.01) == [0.0, 0.0]
    assert _state(world, speed=-5.0, turn=0.2)[1] == 0.95


def test_known_steering_is_taken(world: SimpleNamespace) -> None:
    """What a simulator knows counts; its zeros at the start of a run do in parity only (D-3)."""
    assert _state(world, speed=10.0, turn=0.01, steering=0.3, yaw_rate=0.2) == [0.3, 0.2]
    assert _state(world, speed=10.0, turn=0.01, steering=0.0, yaw_rate=0.0)[1] == pytest.approx(0.1)
    assert _state(world, speed=10.0, turn=0.01, steering=0.0, yaw_rate=0.0, parity=True) == [0.0, 0.0]


def test_velocity_turns_into_the_ego_frame(world: SimpleNamespace) -> None:
    """10 m/s along the body are (10, 0) in the ego frame, whichever way the vehicle looks."""
    for angle in (0.0, np.pi / 2, 2.0):
        scene = world.moved(world.make_scene(world.straight_road(), [11]), angle)
        assert np.allclose(world.build(scene)["agent/velocity"][0], [10.0, 0.0], atol=1e-5)


def _crowd(world: SimpleNamespace, count: int, **settings: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    rows = [{"position": (10 + 40 * rng.normal(), 40 * rng.normal()), "category": index % 3} for index in range(count)]
    static = world.make_static([(3 + index % 4, 5.0 + 0.1 * index, 1.0) for index in range(count)])
    scene = world.make_scene(world.straight_road(), [11], tracks=world.make_tracks(rows), static_objects=static)
    return world.build(scene, **settings)


def test_the_nearest_agents_are_kept(world: SimpleNamespace) -> None:
    """Of 300 objects the 48 nearest to the ego vehicle's centre remain, nearest first."""
    sample = _crowd(world, 300)
    assert sample["agent/position"].shape[0] == 49
    distance = np.hypot(*(sample["agent/position"][1:, 20] - [1.461, 0.0]).T)
    assert (np.diff(distance) >= 0).all()
    assert set(sample["agent/category"].tolist()) <= {0, 1, 2, 3}
    for settings in ({"max_agents": 0}, {"disable_agent": True}):
        assert _crowd(world, 300, **settings)["agent/position"].shape[0] == 1


def test_static_objects_by_category_and_ground(world: SimpleNamespace) -> None:
    """Objects on a lane stand by the features' category; a limit keeps the nearest, in parity there is none."""
    sample = _crowd(world, 40)
    assert (np.diff(sample["static_objects/category"]) >= 0).all()
    assert len(sample["static_objects/category"]) == 40
    limited = _crowd(world, 40, max_static_obstacles=5)
    assert len(limited["static_objects/category"]) == 5
    assert len(_crowd(world, 40, max_static_obstacles=5, parity=True)["static_objects/category"]) == 40
    beside = world.make_static([(int(Category.TRAFFIC_CONE), 20.0, 2.4), (int(Category.TRAFFIC_CONE), 20.0, 2.6)])
    scene = world.make_scene(world.straight_road(), [11], static_objects=beside)
    assert len(world.build(scene)["static_objects/heading"]) == 1
    parking = world.straight_road(carparks=[np.array([[15.0, 2.0], [25.0, 2.0], [25.0, 9.0], [15.0, 9.0]])])
    assert len(world.build(attrs.evolve(scene, map=parking))["static_objects/heading"]) == 2


def test_agents_of_other_frames_only(world: SimpleNamespace) -> None:
    """Who is not there at time zero is no agent; who is there only then is one."""
    only_now, never_now = np.zeros(101, np.bool_), np.ones(101, np.bool_)
    only_now[20], never_now[20] = True, False
    rows = [{"position": (20.0, 1.0), "valid": only_now}, {"position": (30.0, 1.0), "valid": never_now}]
    sample = world.build(world.make_scene(world.straight_road(), [11], tracks=world.make_tracks(rows)))
    assert sample["agent/valid_mask"][1:].sum() == 1
    assert not sample["agent/target"][1].any()


def test_target_is_displacement(world: SimpleNamespace) -> None:
    """Target plus the present pose is the future pose."""
    position = np.stack([20 + 0.5 * np.arange(101), np.ones(101)], axis=1)
    sample = world.build(world.make_scene(world.straight_road(), [11], tracks=world.make_tracks([{"position": position}])))
    assert np.allclose(
        sample["agent/target"][1, :, 0] + sample["agent/position"][1, 20, 0], sample["agent/position"][1, 21:, 0], atol=1e-4
    )


def _causal(sample: dict[str, np.ndarray], name: str) -> np.ndarray:
    return sample[f"causal/{name}"]


def test_leading_agent(world: SimpleNamespace) -> None:
    """The car ahead leads at the distance between the boxes; one in the next lane does not, nor does a cone."""
    rows = [{"position": (40.0, 0.0)}, {"position": (25.0, 3.0)}, {"position": (70.0, 0.0)}]
    cone = world.make_static([(int(Category.TRAFFIC_CONE), 20.0, 0.0)])
    scene = world.make_scene(world.straight_road(), [11], tracks=world.make_tracks(rows), static_objects=cone)
    sample = world.build(scene)
    # Agents stand by distance: the car beside, the one ahead, the far one (beyond the next 50 m of the path).
    assert _causal(sample, "leading_agent_mask").tolist() == [False, False, True, False]
    assert _causal(sample, "leading_distance")[2] == pytest.approx(40.0 - 2.25 - 14.049, abs=1e-4)
    assert not _causal(sample, "is_waiting_for_red_light_without_lead")


def _at_the_light(world: SimpleNamespace, status: int = LightStatus.RED, **settings: object) -> dict[str, np.ndarray]:
    """Return the sample of a vehicle that crosses the stop line at x = 30 with its centre at step 30 of the future."""
    lights = world.make_lights([(21, status), (22, LightStatus.GREEN), (77, LightStatus.RED)])
    scene = world.make_scene(
        world.fork(), [11, 31, 12], ego=world.driving(speed_mps=5.0, x=30.0 - 1.461 - 15.05), lights=lights
    )
    return world.build(scene, **settings)


def test_red_light_cuts_the_future(world: SimpleNamespace) -> None:
    """From where the expert runs the red light on there is no example: 30 steps remain."""
    sample = _at_the_light(world)
    assert _causal(sample, "fixed_ego_future_valid_mask").tolist() == [True] * 30 + [False] * 50
    assert sample["agent/valid_mask"][0].sum() == 51
    assert _causal(sample, "is_waiting_for_red_light_without_lead")
    assert _causal(sample, "ego_care_red_light_mask").sum() == 1
    assert _causal(_at_the_light(world, LightStatus.GREEN), "fixed_ego_future_valid_mask").all()


def test_free_path(world: SimpleNamespace) -> None:
    """At 10 m/s nothing ahead leaves the path free from 10 + 2.588 + 3 m to 33.3 - 3 m; a leading car shortens it."""
    free = _causal(world.build(world.make_scene(world.straight_road(), [11])), "free_path_points")
    # The path counts from the vehicle's centre.
    assert free[0, 0] == pytest.approx(1.461 + 15.588, abs=0.26)
    assert free[-1, 0] == pytest.approx(1.461 + 30.333, abs=0.26)
    led = world.make_scene(world.straight_road(), [11], tracks=world.make_tracks([{"position": (39.0, 0.0)}]))
    assert len(_causal(world.build(led), "free_path_points")) < len(free)
    slow = world.make_scene(world.straight_road(), [11], ego=world.driving(speed_mps=0.0))
    assert _causal(world.build(slow), "free_path_points").shape == (0, 3)


def _crossing(world: SimpleNamespace, agent_step: int) -> Scene:
    """Return a scene whose agent is at (45, 0) at one step of the future and far away else; the ego vehicle at step 34."""
    valid = np.zeros(101, np.bool_)
    valid[[20, 21 + agent_step]] = True
    position = np.full((101, 2), 60.0)
    position[21 + agent_step] = 45.0, 0.0
    return world.make_scene(world.straight_road(), [11], tracks=world.make_tracks([{"position": position, "valid": valid}]))


@pytest.mark.parametrize("parity", [False, True])
def test_interaction_label_says_who_is_first(world: SimpleNamespace, *, parity: bool) -> None:
    """The ego vehicle is at the place 15 steps after the agent: 15; the other way round: -15; never: 0."""
    scene = _crossing(world, 19)
    assert _causal(world.build(scene, parity=parity), "interaction_label").tolist() == [0.0, 15.0]
    assert _causal(world.build(_crossing(world, 49), parity=parity), "interaction_label").tolist() == [0.0, -15.0]
    beside = world.make_tracks([{"position": (45.0, 8.0)}])
    assert not _causal(world.build(attrs.evolve(scene, tracks=beside), parity=parity), "interaction_label").any()
    near = world.make_tracks([{"position": (45.0, 2.5)}])
    assert not _causal(world.build(attrs.evolve(scene, tracks=near), parity=parity), "interaction_label").any()


def test_without_a_route_nothing_leads(world: SimpleNamespace) -> None:
    """No route: no path, no leading object, no free path, and no crash (D-12)."""
    scene = world.make_scene(world.straight_road(), [], tracks=world.make_tracks([{"position": (40.0, 0.0)}]))
    sample = world.build(scene, require_reference_line=False)
    assert not _causal(sample, "leading_agent_mask").any()
    assert _causal(sample, "free_path_points").shape == (0, 3)
