"""What augmentations need of samples; imports no numpy."""

from collections.abc import Iterable, Mapping

from pluto_augment.config import AgentDropoutConfig, ContrastiveConfig, EgoNoiseConfig
from pluto_core.arrays import SampleSpec
from pluto_core.component import Requirement
from pluto_core.errors import PlutoError

AGENTS = (
    "agent/position",
    "agent/heading",
    "agent/velocity",
    "agent/shape",
    "agent/category",
    "agent/valid_mask",
    "agent/target",
)
_POSITIVE = ("current_state", *AGENTS, "causal/leading_agent_mask", "causal/interaction_label")
_NEGATIVE: Mapping[str, tuple[str, ...]] = {
    "traffic_light_inversion": (
        "causal/is_waiting_for_red_light_without_lead",
        "causal/ego_care_red_light_mask",
        "map/polygon_tl_status",
    ),
    "interacting_agent_dropout": ("causal/is_waiting_for_red_light_without_lead",),
    "leading_agent_insertion": ("causal/free_path_points",),
}
STATE_SIZE = 7
_FEATURES = {"use": "pluto"}


def contrastive(config: ContrastiveConfig) -> Requirement:
    """Return the arrays that the contrastive scenario generator reads."""
    asked = config.negatives if config.use_negative_sample else ()
    keys = dict.fromkeys((*_POSITIVE, *(key for one in asked for key in _NEGATIVE[one])))
    return Requirement(keys=tuple(keys), features=(_FEATURES,), dims={"current_state:0": STATE_SIZE})


def ego_noise(_config: EgoNoiseConfig) -> Requirement:
    """Return the arrays that noise on the ego vehicle reads."""
    return Requirement(keys=("current_state", *AGENTS), features=(_FEATURES,), dims={"current_state:0": STATE_SIZE})


def agent_dropout(config: AgentDropoutConfig) -> Requirement:
    """Return the array that tells the number of agents."""
    return Requirement(keys=(f"{config.group}/valid_mask",))


def refuse_missing(name: str, keys: Iterable[str], spec: SampleSpec) -> None:
    """Prove that a spec has the arrays that an augmentation reads.

    Raises:
        PlutoError: Some are missing; names them.
    """
    missing = [key for key in keys if key not in spec]
    if missing:
        message = f"augmentation {name!r} needs arrays that no builder gives: {', '.join(missing)}"
        raise PlutoError(message)


def refuse_other_steps(name: str, history_steps: int, spec: SampleSpec) -> None:
    """Prove that the features have the past that an augmentation expects.

    Raises:
        PlutoError: They have another number of steps before the targets.
    """
    steps, future = (spec[key].dims[1] for key in ("agent/position", "agent/target"))
    past = int(steps) - int(future)
    if past != history_steps:
        message = (
            f"augmentation {name!r}: history_steps is {history_steps}, but the features give {past} steps "
            f"up to and with the present one; write history_steps = {past}"
        )
        raise PlutoError(message)
