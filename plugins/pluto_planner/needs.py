"""What the PLUTO network needs of samples; imports neither numpy nor torch."""

from pluto_core.component import Requirement
from pluto_planner.config import PlutoModelConfig

_KEYS = (
    "current_state",
    "agent/position",
    "agent/heading",
    "agent/velocity",
    "agent/shape",
    "agent/category",
    "agent/valid_mask",
    "map/point_position",
    "map/point_vector",
    "map/point_orientation",
    "map/polygon_center",
    "map/polygon_type",
    "map/polygon_on_route",
    "map/polygon_tl_status",
    "map/polygon_has_speed_limit",
    "map/polygon_speed_limit",
    "map/valid_mask",
    "reference_line/position",
    "reference_line/vector",
    "reference_line/orientation",
    "reference_line/valid_mask",
    "static_objects/position",
    "static_objects/heading",
    "static_objects/shape",
    "static_objects/category",
    "static_objects/valid_mask",
)


def pluto(config: PlutoModelConfig) -> Requirement:
    """Return the arrays that the network reads, and the builders that give them."""
    history_s = (config.history_steps - 1) * config.interval_s
    future_s = config.future_steps * config.interval_s
    features = {"use": "pluto", "history_horizon": history_s, "future_horizon": future_s, "sample_interval": config.interval_s}
    truth = {"use": "ego_trajectory", "horizon_s": future_s, "interval_s": config.interval_s}
    steps = config.history_steps + config.future_steps
    return Requirement(
        keys=_KEYS,
        features=(features,),
        targets=(truth,),
        dims={"agent/position:1": steps, "truth/trajectory:0": config.future_steps},
    )
