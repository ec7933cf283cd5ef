"""The builder: PLUTO's arrays from a scene."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_core import samples
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.samples import Array, Sample
from pluto_core.scene import Scene, Window
from pluto_core.sketch import Sketch
from pluto_planner import schema
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import (
    agents,
    causal,
    cost_map,
    drivable,
    ego,
    ego_path,
    interaction,
    map_polygons,
    obstacles,
    reference_lines,
    route,
    sketching,
    static_objects,
    validity,
)
from pluto_planner.features.drivable import Drivable
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.map_polygons import Nearby
from pluto_planner.features.normalise import normalise, within_radius, without_padding
from pluto_planner.features.route import Route

Ints = npt.NDArray[np.int64]


class PlutoFeatures:
    """PLUTO's features of a scene (Cheng et al. 2024, "PLUTO: Pushing the Limit of Imitation Learning-based Planning")."""

    version = "1"

    def __init__(self, config: PlutoFeaturesConfig) -> None:
        """Take the settings; nothing is computed before the first scene."""
        self.config = config
        self.window = Window(
            history_s=config.history_horizon, future_s=config.future_horizon, interval_s=config.sample_interval
        )
        self.spec: SampleSpec = schema.spec(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays that `spec` describes, in the ego frame.

        Raises:
            SampleError: The present frame is missing, there is no reference line, or something is out of range.
        """
        now = ego.present(scene)
        sample = within_radius(normalise(self.build_global(scene, now)), self.config.radius)
        if not self.config.parity:
            sample = without_padding(sample)
        validity.require_valid(sample, self.config)
        sample["origin"], sample["angle"] = now.position, np.array(now.heading)
        return {key: np.asarray(sample[key], dtype=spec.dtype) for key, spec in self.spec.items()}

    def build_global(self, scene: Scene, now: Present) -> Sample:
        """Return the arrays before normalisation: float64, global frame, all polygons that were asked for.

        Raises:
            SampleError: There is no reference line.
        """
        config, ground = self.config, MapGeometry.of(scene.map)
        around = drivable.around(ground, now.center, config.scene_radius)
        way = route.corrected(ground, scene.route, now, parity=config.parity)
        rows = np.zeros(0, np.int64) if config.disable_agent else agents.nearest_tracks(scene, now, config.max_agents)
        found = map_polygons.nearby(ground, now, config.radius, corners=config.corner_query and not config.parity)
        limit = None if config.parity else config.max_static_obstacles
        still = static_objects.select(scene, now, around, config.radius, limit)
        sample: Sample = {"current_state": ego.current_state(scene, parity=config.parity)}
        sample |= agents.build(scene, rows)
        sample["agent/target"] = np.zeros((1 + len(rows), self.window.future_steps, 3))
        sample |= static_objects.build(scene, still)
        sample |= map_polygons.build(ground, found, scene, way, parity=config.parity)
        if config.build_reference_line:
            sample |= self._reference_lines(ground, scene, way, now)
            validity.require_reference_line(sample, scene, config)  # before the most expensive arrays are made
        if self.window.future_steps:
            sample |= self._causal(ground, scene, way, around, now, rows, found, sample)
            sample |= self._cost_map(ground, scene, rows, now)
        return sample

    def check(self, sample: Mapping[str, Array]) -> None:
        """Prove that a stored sample, or one that was made elsewhere, is one that `build` could have returned.

        Raises:
            SampleError: An array is not what its spec says, holds NaN, is out of range, or no reference line is valid.
        """
        samples.check(sample, self.spec, dtypes=False)
        validity.require_codes(sample)
        validity.require_valid(sample, self.config)

    def sketch(self, sample: Mapping[str, Array]) -> Sketch:
        """Return what to draw of one sample."""
        return sketching.sketch(sample, self.config)

    def _reference_lines(self, ground: MapGeometry, scene: Scene, way: Route, now: Present) -> Sample:
        rules = reference_lines.LineRules(parity=self.config.parity, resample=self.config.resample_reference_lines)
        lines = reference_lines.find(ground, way, now, rules)
        return reference_lines.build(lines, scene, resample=reference_lines.resamples(ground, rules))

    def _causal(
        self,
        ground: MapGeometry,
        scene: Scene,
        way: Route,
        around: Drivable,
        now: Present,
        rows: Ints,
        found: Nearby,
        sample: Sample,
    ) -> Sample:
        """Return the causal keys, and the agents' validity with the ego vehicle's future cut at a red light it runs."""
        parity = self.config.parity
        ahead, progress = ego_path.ahead(ground, way, around, now, parity=parity)
        lead = obstacles.leading(ground, scene, way, ahead, now, self.config.scene_radius)
        obeyed = causal.obeyed_future(ground, lead, scene)
        valid = sample["agent/valid_mask"].copy()
        valid[0, now.step + 1 :] &= obeyed
        return causal.build(lead, rows, found, scene) | {
            "agent/valid_mask": valid,
            "causal/fixed_ego_future_valid_mask": obeyed,
            "causal/free_path_points": causal.free_path(lead, rows, ahead, progress, now),
            "causal/interaction_label": interaction.labels(scene, rows, parity=parity),
        }

    def _cost_map(self, ground: MapGeometry, scene: Scene, rows: Ints, now: Present) -> Sample:
        config = self.config
        if config.cost_map == "none":
            return {}
        grid = cost_map.Grid(size_px=config.cost_map_size_px, resolution_m=config.cost_map_resolution_m)
        mask = cost_map.drivable_mask(ground, scene, rows, now, grid, parity=config.parity)
        if config.cost_map == "mask":
            return {"cost_mask": mask[..., None]}
        return {"cost_maps": cost_map.signed_distance(mask, grid.resolution_m, parity=config.parity)[..., None]}


def make(config: PlutoFeaturesConfig, context: Context) -> PlutoFeatures:  # noqa: ARG001 -- every factory has this signature
    """Return the builder."""
    return PlutoFeatures(config)
