"""Settings of the planner's components."""

from typing import Literal

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class PlutoFeaturesConfig:
    """What PLUTO's feature builder takes; the names are those of the reference's builder."""

    radius: float = setting(120.0, "Half side of the map square, and reach of static objects, m.", above=0)
    history_horizon: float = setting(2.0, "Seconds before time zero.", minimum=0)
    future_horizon: float = setting(
        8.0, "Seconds after time zero; 0 for live input: no truth, no causal keys, no cost map.", minimum=0
    )
    sample_interval: float = setting(0.1, "Seconds between two steps.", above=0)
    max_agents: int = setting(48, "How many of the nearest vehicles, pedestrians and cyclists to keep.", minimum=0)
    max_static_obstacles: int | None = setting(
        None,
        "How many of the nearest static objects to keep; absent: all. The reference ignores it, and so does `parity`.",
        minimum=0,
    )
    build_reference_line: bool = setting(default=True, help="Whether to give reference lines.")
    require_reference_line: bool = setting(
        default=True,
        help="Whether a scene without a reference line is refused; a planner at the wheel needs an answer anyway: false.",
    )
    disable_agent: bool = setting(default=False, help="Whether to leave all agents out.")
    cost_map: Literal["map", "mask", "none"] = setting(
        "map", "Signed distance to the drivable area (`cost_maps`), only the drivable mask (`cost_mask`), or neither."
    )
    cost_map_size_px: int = setting(600, "Rows and columns of the cost map.", minimum=1)
    cost_map_resolution_m: float = setting(0.2, "Metres a pixel of the cost map.", above=0)
    scene_radius: float = setting(
        50.0,
        "Half side of the square whose roadblocks are drivable, m. The reference trains with 50 and plans with 60.",
        above=0,
    )
    resample_reference_lines: bool | None = setting(
        None,
        "Whether reference lines are resampled at 1 m. Absent: where the map's vertices are not a quarter of a metre apart.",
    )
    corner_query: bool = setting(
        default=False, help="Whether polygons in the corners that only the turned square covers are asked for too."
    )
    parity: bool = setting(default=False, help="Whether to give the reference's numbers, with its defects.")

    @property
    def history_steps(self) -> int:
        """Return the number of steps before the present one; also the index of the present step."""
        return round(self.history_horizon / self.sample_interval)

    @property
    def future_steps(self) -> int:
        """Return the number of steps after the present one."""
        return round(self.future_horizon / self.sample_interval)


@attrs.frozen(kw_only=True)
class PlutoModelConfig:
    """The PLUTO network; the defaults are those of the paper, with the reference-free head and without contrastive learning."""

    dim: int = setting(128, "Width of tokens; a multiple of 4 and of `num_heads`.", minimum=16)
    num_heads: int = setting(4, "Attention heads of encoder and decoder.", minimum=1)
    encoder_depth: int = setting(4, "Blocks of the scene encoder.", minimum=1)
    decoder_depth: int = setting(4, "Layers of the planning decoder.", minimum=1)
    num_modes: int = setting(12, "Modes of each reference line.", minimum=1)
    history_steps: int = setting(21, "Steps up to and with the present one.", minimum=2)
    future_steps: int = setting(80, "Steps that are planned and predicted.", minimum=1)
    drop_path: float = setting(0.2, "Stochastic depth of the last encoder block.", minimum=0, maximum=1)
    dropout: float = setting(0.1, "Dropout of the decoder.", minimum=0, maximum=1)
    state_attn_encoder: bool = setting(default=True, help="Read the ego state by attention, else by an MLP.")
    state_dropout: float = setting(
        0.75, "How often velocity, acceleration and steering of the ego vehicle are hidden in training.", minimum=0, maximum=1
    )
    use_ego_history: bool = setting(default=False, help="Read the ego vehicle's history instead of its present state.")
    use_hidden_proj: bool = setting(default=False, help="Add the projection that contrastive learning compares.")
    cat_x: bool = setting(default=False, help="Join the ego token to each query before the heads.")
    ref_free_traj: bool = setting(default=True, help="Add the trajectory that needs no reference line.")
    interval_s: float = setting(0.1, "Time between two planned steps, seconds.", above=0)
    parity: bool = setting(default=False, help="Compute what the reference computes in batches, with its defects.")
    weights: str | None = setting(
        None, "File of weights to begin with: a checkpoint, or what `pluto model import` wrote. Absent: fresh ones."
    )


@attrs.frozen(kw_only=True)
class PlutoObjectiveConfig:
    """The losses of PLUTO."""

    contrast: bool = setting(
        default=False, help="Contrast anchors with positives and negatives; needs the model's `use_hidden_proj`."
    )
    collision: bool = setting(default=True, help="Judge planned states on the distance field; needs `cost_maps`.")
    regulate_yaw: bool = setting(default=False, help="Draw planned (cos, sin) to unit length.")
    radius: float = setting(120.0, "Radius of the scene, which the modes of a reference line share, metres.", above=0)
    temperature: float = setting(0.1, "Temperature of the contrastive loss.", above=0)
    weights: dict[str, float] = attrs.field(
        factory=dict, metadata={"help": "Weight of a loss term by its name; 1 where silent."}
    )
    parity: bool = setting(default=False, help="Compute what the reference computes, with its defects.")
