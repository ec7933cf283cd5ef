"""What is read from raw outputs in evaluation: trajectories with headings, the best candidate."""

import torch
from torch import Tensor

from pluto_planner.network.batch import Batch, Outputs

PADDED_LOGIT = -1e6


def read_out(outputs: Outputs, batch: Batch, present: int, *, parity: bool) -> Outputs:
    """Return the raw outputs with those of evaluation added (model spec section 9).

    Args:
        outputs: Raw outputs of the network.
        batch: The batch they were computed from.
        present: Index of the present step of the agents.
        parity: Choose a padded line's candidate where a sample of the batch has no line, as the reference does,
            instead of the reference-free trajectory.
    """
    agent = batch["agent"]
    candidates = poses(outputs["trajectory"])
    read = dict(outputs)
    read["output_prediction"] = _absolute(
        outputs["prediction"], agent["position"][:, 1:, present], agent["heading"][:, 1:, present]
    )
    read["candidate_trajectories"] = candidates
    fallback = candidates.new_zeros(candidates.shape[0], *candidates.shape[3:])
    if "ref_free_trajectory" in outputs:
        fallback = read["output_ref_free_trajectory"] = poses(outputs["ref_free_trajectory"])
    if candidates.shape[1] == 0:
        read["output_trajectory"] = fallback
        return read
    exists = batch["reference_line"]["valid_mask"].any(dim=-1)
    read["probability"] = without_padding(outputs["probability"], exists)
    best = _best(candidates, read["probability"])
    read["output_trajectory"] = best if parity else torch.where(exists.any(dim=1)[:, None, None], best, fallback)
    return read


def poses(trajectory: Tensor) -> Tensor:
    """Return x, y, heading (..., 3) of [x, y, cos, sin, ...]."""
    heading = torch.atan2(trajectory[..., 3], trajectory[..., 2])
    return torch.cat((trajectory[..., :2], heading[..., None]), dim=-1)


def without_padding(logits: Tensor, exists: Tensor) -> Tensor:
    """Return logits (B, R, K) with those of padded lines so low that no softmax sees them."""
    low = max(PADDED_LOGIT, torch.finfo(logits.dtype).min)
    return logits.masked_fill(~exists[..., None], low)


def _best(candidates: Tensor, logits: Tensor) -> Tensor:
    """Return the candidate (B, T, 3) with the largest logit."""
    flat = candidates.flatten(1, 2)
    index = logits.flatten(1).argmax(dim=1)[:, None, None, None].expand(-1, 1, *flat.shape[2:])
    return flat.gather(1, index)[:, 0]


def _absolute(prediction: Tensor, position: Tensor, heading: Tensor) -> Tensor:
    """Return predictions (B, N, T, 5) in the ego frame from displacements (B, N, T, 6) and present poses."""
    pose = poses(prediction)
    place = pose[..., :2] + position[:, :, None]
    turned = pose[..., 2:] + heading[:, :, None, None]
    return torch.cat((place, turned, prediction[..., 4:]), dim=-1)
