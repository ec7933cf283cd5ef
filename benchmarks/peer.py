"""The reference stack's way from stored samples to batches, written anew from what it is known to do.

One gzip-compressed pickle a sample, of float64 arrays in nested dictionaries, the arrays that only augmentations read
included; the contrastive augmentation on them; a tensor for each key, float64 as float32; `pad_sequence` for what is ragged
and `stack` for what is not, anchors, positives and negatives one after another; torch's DataLoader for processes. Where the
reference copies more than it must, this does not.
"""

import gzip
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import torch
from peer_files import Spec, Tree, pickled
from torch.nn.utils.rnn import pad_sequence

__all__ = ["Collate", "Contrast", "Files", "Spec", "pickled"]

Tensors = dict[str, torch.Tensor]

LOW = np.array([-1.0, -0.75, -0.35, -1.0, -0.5, -0.2, -0.1])
PRESENT, SIZE_PX, CROP_PX, RESOLUTION_M, OUTSIDE_M = 20, 600, 500, 0.2, -200.0
EGO_BOX, EGO_CENTER_M = (5.176, 2.297), 1.461
GREEN, UNKNOWN = 0, 3
HORIZON, MOST_DIFFERENCE, LEAST_SPEED = 40, 2.0, 0.1
TURNED = {
    "agent": ("position",), "static_objects": ("position",), "reference_line": ("position",),
    "map": ("point_position", "polygon_center", "polygon_position"), "causal": ("free_path_points",),
}  # fmt: skip
VECTORS = {"agent": ("velocity",), "map": ("point_vector",), "reference_line": ("vector",)}
ANGLES = {
    "agent": ("heading",), "static_objects": ("heading",), "map": ("point_orientation", "polygon_orientation"),
    "reference_line": ("orientation",),
}  # fmt: skip


@attrs.frozen
class Files:
    """The reference's samples, one file each, as tensors: the sample, and with an augmentation its variants."""

    paths: Sequence[Path]
    vary: Callable[[Tree], list[Tree]] | None = None

    def __len__(self) -> int:
        """Return their number."""
        return len(self.paths)

    def __getitem__(self, row: int) -> list[Tensors]:
        """Return one."""
        with gzip.open(self.paths[row], "rb") as file:
            tree = pickle.load(file)  # noqa: S301 -- written by this program
        return [tensors(one) for one in (self.vary(tree) if self.vary else [tree])]


def tensors(tree: Mapping[str, Any], above: str = "") -> Tensors:
    """Return a tensor for each key, float64 as float32."""
    found: Tensors = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= tensors(value, f"{above}{key}/")
        else:
            tensor = torch.as_tensor(value)
            found[above + key] = tensor.float() if tensor.dtype == torch.float64 else tensor
    return found


@attrs.frozen
class Collate:
    """Makes a batch of samples, key by key."""

    spec: Spec

    def __call__(self, samples: Sequence[Sequence[Tensors]]) -> Tensors:
        """Return the batch, all anchors first."""
        every = [roles[number] for number in range(len(samples[0])) for roles in samples]
        batch = {}
        for key, spec in self.spec.items():
            if not spec.batch or key not in every[0]:
                continue
            rows = [sample[key] for sample in every]
            ragged = bool(spec.dims) and isinstance(spec.dims[0], str)
            batch[key] = pad_sequence(rows, batch_first=True, padding_value=spec.pad) if ragged else torch.stack(rows)
        return batch


class Contrast:
    """The contrastive augmentation: anchor, positive, negative."""

    def __init__(self) -> None:
        """Seed as the reference does."""
        self.rng = np.random.default_rng(0)

    def __call__(self, anchor: Tree) -> list[Tree]:
        """Return the three; the anchor itself stands in for a negative that cannot be made."""
        positive = self._positive(anchor)
        anchor["cost_maps"] = middle(anchor["cost_maps"].astype(np.float32))
        return [anchor, positive, self._negative(anchor)]

    def _positive(self, anchor: Tree) -> Tree:
        noise = self.rng.uniform(LOW, -LOW).astype(np.float32)
        boxes = corners(*(anchor["agent"][key][1:11, PRESENT] for key in ("position", "heading", "shape")))
        for scale in (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16):
            state = anchor["current_state"] + scale * noise
            state[3] = max(0.0, state[3])
            heading = np.array([np.cos(state[2]), np.sin(state[2])])
            ego = corners((state[:2] + EGO_CENTER_M * heading)[None], state[2:3], np.array([EGO_BOX[::-1]]))[0]
            if not any(overlap(ego, box) for box in boxes):
                break
        made = copied(anchor)
        made["current_state"] = state
        made["agent"]["position"][0, PRESENT], made["agent"]["heading"][0, PRESENT] = state[:2], state[2]
        made["cost_maps"] = moved(anchor["cost_maps"][..., 0].astype(np.float32), scale * noise)[..., None]
        if self.rng.random() < 0.5:
            self._thin_out(made)
        normalise(made)
        return made

    def _thin_out(self, tree: Tree) -> None:
        idle = tree["causal"]["interaction_label"] <= 0
        if idle.sum() > 1:
            idle[0] = False
            idle &= ~tree["causal"]["leading_agent_mask"]
            keep(tree, ~(idle & (self.rng.random(len(idle)) <= self.rng.uniform(0.1, 1))))

    def _negative(self, anchor: Tree) -> Tree:
        causal, changes = anchor["causal"], []
        label = causal["interaction_label"]
        meets = causal["leading_agent_mask"] | ((label > 0) & (label < HORIZON))
        if causal["is_waiting_for_red_light_without_lead"]:
            changes.append(self._invert_lights)
        elif meets.any():
            changes.append(lambda tree: keep(tree, ~meets))
        if len(causal["free_path_points"]) and len(label) > 1:
            changes.append(self._insert_leader)
        if not changes:
            return anchor
        made = copied(anchor)
        changes[self.rng.integers(len(changes))](made)
        return made

    def _invert_lights(self, tree: Tree) -> None:
        cared = tree["causal"]["ego_care_red_light_mask"]
        tree["map"]["polygon_tl_status"][cared] = self.rng.choice([GREEN, UNKNOWN], cared.sum())

    def _insert_leader(self, tree: Tree) -> None:
        agent = tree["agent"]
        x, y, heading = tree["causal"]["free_path_points"][self.rng.integers(len(tree["causal"]["free_path_points"]))]
        speeds = np.linalg.norm(agent["velocity"][:, PRESENT], axis=-1)
        nearest = 1 + int(np.argmin(np.abs(speeds[1:] - speeds[0])))
        row = nearest if abs(speeds[nearest] - speeds[0]) < MOST_DIFFERENCE else 0
        factor = (1.0 if speeds[row] < LEAST_SPEED else speeds[0] / speeds[row]) * self.rng.uniform(0, 0.8)
        turn = rotation(agent["heading"][row, PRESENT] - heading)
        steps = factor * (agent["position"][row] - agent["position"][row, PRESENT])
        new = {
            "position": steps @ turn + [x, y],
            "heading": agent["heading"][row] - agent["heading"][row, PRESENT] + heading,
            "velocity": factor * agent["velocity"][row] @ turn,
            "shape": agent["shape"][row] * self.rng.uniform(0.9, 1.1, agent["shape"][row].shape),
            "category": agent["category"][row] if row else 1,
            "valid_mask": agent["valid_mask"][row],
        }
        future = {key: new[key][PRESENT + 1 :] - new[key][PRESENT] for key in ("position", "heading")}
        new["target"] = np.concatenate([future["position"], future["heading"][:, None]], axis=-1)
        for key, value in new.items():
            agent[key] = np.concatenate([agent[key], np.asarray(value)[None]])


def copied(tree: Tree) -> Tree:
    """Return a copy, but for the cost map."""
    return {
        key: copied(value) if isinstance(value, dict) else value if key == "cost_maps" else value.copy()
        for key, value in tree.items()
    }


def keep(tree: Tree, kept: Any) -> None:
    """Leave out agents."""
    tree["agent"] = {key: value[kept] for key, value in tree["agent"].items()}


def middle(cost_map: Any) -> Any:
    """Return the middle of a cost map."""
    first = (SIZE_PX - CROP_PX) // 2
    return cost_map[first : first + CROP_PX, first : first + CROP_PX]


def moved(cost_map: Any, noise: Any) -> Any:
    """Return the middle of a cost map as seen from a changed pose: shifted, then turned."""
    shift = np.array([[1.0, 0.0, -noise[0] / RESOLUTION_M], [0.0, 1.0, noise[1] / RESOLUTION_M]])
    turn = cv2.getRotationMatrix2D((SIZE_PX / 2, SIZE_PX / 2), -np.rad2deg(float(noise[2])), 1.0)
    for matrix in (shift, turn):
        cost_map = cv2.warpAffine(cost_map, matrix, (SIZE_PX, SIZE_PX), borderValue=OUTSIDE_M)
    return middle(cost_map)


def rotation(angle: Any) -> Any:
    """Return the matrix that turns rows by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def normalise(tree: Tree) -> None:
    """Move a sample to the frame of its ego vehicle, in place."""
    center, angle = tree["current_state"][:2].copy(), float(tree["current_state"][2])
    turn = rotation(angle)
    for group, keys in TURNED.items():
        for key in keys:
            tree[group][key][..., :2] = (tree[group][key][..., :2] - center) @ turn
    for group, keys in VECTORS.items():
        for key in keys:
            tree[group][key] = tree[group][key] @ turn
    for group, keys in ANGLES.items():
        for key in keys:
            tree[group][key] -= angle
    tree["map"]["polygon_center"][..., 2] -= angle
    tree["causal"]["free_path_points"][..., 2] -= angle
    tree["current_state"][:3] = 0
    agent = tree["agent"]
    position = agent["position"][:, PRESENT + 1 :] - agent["position"][:, PRESENT][:, None]
    heading = agent["heading"][:, PRESENT + 1 :] - agent["heading"][:, PRESENT][:, None]
    agent["target"] = np.concatenate([position, heading[..., None]], axis=-1)
    agent["target"][~agent["valid_mask"][:, PRESENT + 1 :]] = 0


def corners(center: Any, heading: Any, shape: Any) -> Any:
    """Return the (n, 4, 2) corners of boxes of (width, length)."""
    along = np.stack([np.cos(heading), np.sin(heading)], axis=-1) * shape[:, 1:] / 2
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=-1) * shape[:, :1] / 2
    return np.stack([center + along + across, center + along - across, center - along - across, center - along + across], 1)


def overlap(one: Any, other: Any) -> bool:
    """Return whether two boxes touch: no side of either separates them."""
    for box in (one, other):
        for axis in (box[1] - box[0], box[2] - box[1]):
            mine, theirs = one @ axis, other @ axis
            if mine.max() < theirs.min() or theirs.max() < mine.min():
                return False
    return True
