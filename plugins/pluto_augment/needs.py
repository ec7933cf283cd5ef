"""What augmentations need of samples; imports no numpy."""

from collections.abc import Iterable, Mapping

from pluto_augment.config import ContrastiveConfig
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


def refuse_missing(name: str, keys: Iterable[str], spec: SampleSpec) -> None:
    """Prove that a spec has the arrays that an augmentation reads.

    Raises:
        PlutoError: Some are missing; names them.
    """
    missing = [key for key in keys if key not in spec]
    if missing:
        message = f"augmentation {name!r} needs arrays that no builder gives: {', '.join(missing)}"
        raise PlutoError(message)
