"""Settings of the augmentations."""

from typing import Literal

import attrs

from pluto_core.component import setting

State = tuple[float, float, float, float, float, float, float]
"""x, y (m), heading (rad), velocity (m/s), acceleration (m/s^2), steering angle (rad), yaw rate (rad/s)."""
Pose = tuple[float, float, float]
"""x, y (m), heading (rad)."""
Range = tuple[float, float]
Generator = Literal["traffic_light_inversion", "interacting_agent_dropout", "leading_agent_insertion"]
GENERATORS: tuple[Generator, ...] = ("traffic_light_inversion", "interacting_agent_dropout", "leading_agent_insertion")


def _ascending(_owner: object, attribute: "attrs.Attribute[Range]", value: Range) -> None:
    if value[0] > value[1]:
        message = f"{attribute.name} goes from {value[0]:g} down to {value[1]:g}; write the lower end first"
        raise ValueError(message)


def _shares(_owner: object, _attribute: "attrs.Attribute[tuple[float, ...]]", value: tuple[float, ...]) -> None:
    if any(not 0 <= share <= 1 for share in value) or list(value) != sorted(set(value)):
        message = f"ramp_milestones = {list(value)} must ascend from 0 at least to 1 at most"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class Scheduled:
    """How often an augmentation varies a sample, and how that changes over the epochs."""

    probability: float = setting(0.5, "How often a sample is varied.", minimum=0, maximum=1)
    final_probability: float | None = setting(
        None, "What `probability` becomes in the course of `ramp_epochs`; absent: it stays.", minimum=0, maximum=1
    )
    ramp_epochs: int = setting(20, "Epochs in which `probability` (and the noise of `ego_noise`) changes.", minimum=1)
    ramp_milestones: tuple[float, ...] = setting(
        (), "Shares of `ramp_epochs` at which it changes, in steps; absent: evenly, every epoch.", validator=_shares
    )


@attrs.frozen(kw_only=True)
class ContrastiveConfig(Scheduled):
    """PLUTO's contrastive scenario generator; the defaults are those of the reference's configuration."""

    probability: float = setting(1.0, "How often a sample gets its copies.", minimum=0, maximum=1)
    history_steps: int = setting(21, "Steps up to and with the present one.", minimum=1)
    low: State = setting(
        (-1.0, -0.75, -0.35, -1.0, -0.5, -0.2, -0.1),
        "Least change of the ego vehicle's x, y, heading, velocity, acceleration, steering angle, yaw rate in a positive.",
    )
    high: State = setting((1.0, 0.75, 0.35, 1.0, 0.5, 0.2, 0.1), "Greatest change of the same.")
    attempts: int = setting(
        5,
        "How often a change of the ego vehicle that collides is halved, and how many places are tried for an inserted leader, "
        "before it is left out.",
        minimum=1,
    )
    agent_dropout: float = setting(0.5, "How often a positive lacks agents that do not interact.", minimum=0, maximum=1)
    dropout_share: Range = setting(
        (0.1, 1.0), "Least and greatest share of those agents that is left out.", validator=_ascending
    )
    use_negative_sample: bool = setting(default=True, help="Whether to make negatives; the contrastive loss needs them.")
    negatives: tuple[Generator, ...] = setting(GENERATORS, "Generators of negatives; one of those that apply is drawn.")
    max_interaction_horizon: float = setting(
        40.0, "Up to how many steps behind an agent the ego vehicle interacts with it.", minimum=0
    )
    similar_speed_mps: float = setting(
        2.0,
        "An inserted leader moves like the agent of the nearest speed if that differs by less, else like the ego.",
        minimum=0,
    )
    speed_share: Range = setting(
        (0.0, 0.8), "Speed of an inserted leader as a share of the ego vehicle's.", validator=_ascending
    )
    size_factor: Range = setting(
        (0.9, 1.1), "Size of an inserted leader as a factor of that of the agent it copies.", validator=_ascending
    )
    crop_px: int = setting(
        500, "Rows and columns of the cost map that stay after it was moved with the ego vehicle.", minimum=1
    )
    cost_map_resolution_m: float = setting(0.2, "Metres a pixel of the cost map, as the features have it.", above=0)
    center_from_rear_axle_m: float = setting(1.461, "From the rear axle to the middle of the ego vehicle, m.")
    parity: bool = setting(default=False, help="Whether to do as the reference does, with its defects.")

    def __attrs_post_init__(self) -> None:
        """Refuse bounds in the wrong order."""
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            message = "low exceeds high"
            raise ValueError(message)


@attrs.frozen(kw_only=True)
class EgoNoiseConfig(Scheduled):
    """Noise on the ego vehicle's pose at time zero; the defaults are those of nuPlan's `simple_agent` augmentor."""

    final_scale: float | None = setting(
        None, "Factor that the noise has at the end of `ramp_epochs`, from 1 on; absent: it stays 1.", minimum=0
    )
    distribution: Literal["gaussian", "uniform"] = setting(
        "gaussian", "Whether `mean` and `std`, or `low` and `high` are used."
    )
    mean: Pose = setting((1.0, 0.0, 0.0), "Mean change of x, y (m) and heading (rad).")
    std: Pose = setting((1.0, 1.0, 0.5), "Standard deviation of the same.")
    low: Pose = setting((0.0, -1.0, -0.5), "Least change of the same.")
    high: Pose = setting((1.0, 1.0, 0.5), "Greatest change of the same.")
    blend: tuple[Literal["history", "future"], ...] = setting(
        (), "Which of the ego vehicle's past and future are bent smoothly towards the new pose; the others stay as recorded."
    )
    blend_s: float = setting(0.5, "Standard deviation of the Gaussian over time by which the bend fades, seconds.", above=0)
    interval_s: float = setting(0.1, "Time between two steps, seconds.", above=0)
    history_steps: int = setting(21, "Steps up to and with the present one.", minimum=1)
    attempts: int = setting(5, "How often a change that collides is halved before it is left out.", minimum=1)
    cost_map_resolution_m: float = setting(0.2, "Metres a pixel of the cost map, as the features have it.", above=0)
    center_from_rear_axle_m: float = setting(1.461, "From the rear axle to the middle of the ego vehicle, m.")

    def __attrs_post_init__(self) -> None:
        """Refuse bounds in the wrong order and negative deviations."""
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            message = "low exceeds high"
            raise ValueError(message)
        if min(self.std) < 0:
            message = "std is negative"
            raise ValueError(message)


@attrs.frozen(kw_only=True)
class AgentDropoutConfig(Scheduled):
    """Agents left out by chance; the defaults are those of nuPlan's `agent_dropout` augmentor."""

    rate: float = setting(0.5, "How likely each agent is left out of a sample that is varied.", minimum=0, maximum=1)
    keep_first: int = setting(1, "How many rows always stay: the first is the ego vehicle.", minimum=0)
    group: str = setting("agent", "Arrays `GROUP/...` count agents along their first axis.")
