"""All terms of the PLUTO objective, and their weighted sum."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_planner.config import PlutoObjectiveConfig
from pluto_planner.network.planner import PlutoNetwork
from pluto_planner.objective import imitation, targets
from pluto_planner.objective.collision import collision
from pluto_planner.objective.contrastive import TEMPERATURE, contrastive
from pluto_planner.objective.reduction import smooth_l1
from pluto_planner.objective.rows import COPIES, imitation_rows, triplets

TERMS = ("reg_loss", "cls_loss", "ref_free_reg_loss", "collision_loss", "prediction_loss", "contrastive_loss")
REF_FREE_CHANNELS = 4
NO_HIDDEN = "objective pluto: `contrast` compares what the model projects; set use_hidden_proj = true in [model]"


class PlutoObjective:
    """Loss terms of the network's outputs, and `loss`, their weighted sum (training spec sections 2 to 5).

    Means without any valid entry are zero. The reference's defects are corrected; with `parity` they are computed:
    negatives imitate the expert when they are not contrasted (T-1), the expert's end is read one second late (T-3),
    the distance field is sampled half a cell off (T-8), and rows without a reference line count.
    """

    def __init__(
        self,
        *,
        contrast: bool = False,
        collision: bool = True,
        regulate_yaw: bool = False,
        radius_m: float = 120.0,
        temperature: float = TEMPERATURE,
        weights: Mapping[str, float] | None = None,
        parity: bool = False,
    ) -> None:
        """Choose terms and their weights.

        Args:
            contrast: Whether triplets are contrasted in training; needs `hidden` among the outputs.
            collision: Whether planned states are judged on the distance field.
            regulate_yaw: Whether planned (cos, sin) are drawn to unit length; counted in `reg_loss`.
            radius_m: Radius of the scene, which the modes share.
            temperature: Of the contrastive loss.
            weights: Weight of each term by its name; 1 where silent.
            parity: Compute what the reference computes.
        """
        self.contrast = contrast
        self.collision = collision
        self.regulate_yaw = regulate_yaw
        self.radius_m = radius_m
        self.temperature = temperature
        self.weights = _checked_weights(weights or {})
        self.parity = parity

    def __call__(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any], training: bool) -> dict[str, Tensor]:  # noqa: FBT001 -- the agreed signature
        """Return every term (unweighted) and `loss`, scalars in float32 or wider.

        Args:
            outputs: Of the network, raw or in evaluation.
            batch: What they were computed from, with the agents' future, `reference_line/future_projection` and,
                if there is a collision term, `cost_maps`.
            training: Whether this is a training step; triplets are contrasted only then.
        """
        outputs = {name: _wide(value) for name, value in outputs.items()}
        contrast = self.contrast and training
        rows = imitation_rows(batch, contrast=contrast, parity=self.parity)
        future, known = targets.future_states(batch), targets.future_valid(batch)
        terms = self._planning(outputs, batch, future[:, 0], known[:, 0], rows)
        terms["prediction_loss"] = imitation.prediction(outputs["prediction"], future, known, rows)
        terms["contrastive_loss"] = self._contrastive(outputs, batch, active=contrast)
        loss = torch.stack([self.weights[name] * terms[name] for name in TERMS]).sum()
        return {"loss": loss} | {name: terms[name] for name in TERMS}

    def _planning(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any], future: Tensor, known: Tensor, rows: Tensor
    ) -> dict[str, Tensor]:
        """Return the terms of the ego vehicle's plan, from its future (B, T, 6) and which steps are known (B, T)."""
        trajectory = outputs["trajectory"]
        nothing = outputs["prediction"].sum() * 0.0
        terms = dict.fromkeys(("reg_loss", "cls_loss", "collision_loss", "ref_free_reg_loss"), nothing)
        if "ref_free_trajectory" in outputs:
            terms["ref_free_reg_loss"] = smooth_l1(
                outputs["ref_free_trajectory"], future[..., :REF_FREE_CHANNELS], known & rows[:, None]
            )
        if trajectory.shape[1] == 0:
            return terms
        assignment = targets.assign(batch, trajectory.shape[2], self.radius_m, parity=self.parity)
        rows = rows if self.parity else rows & assignment.exists
        best = imitation.chosen(trajectory, assignment)
        terms["reg_loss"] = smooth_l1(best, future, known & rows[:, None])
        if self.regulate_yaw:
            terms["reg_loss"] = terms["reg_loss"] + imitation.yaw_norm(best, rows)
        exists = batch["reference_line"]["valid_mask"].any(dim=-1)
        terms["cls_loss"] = imitation.classification(outputs["probability"], exists, assignment, rows)
        if self.collision and "cost_maps" in batch:
            terms["collision_loss"] = collision(best, batch["cost_maps"], rows, parity=self.parity)
        return terms

    def _contrastive(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any], *, active: bool) -> Tensor:
        """Return the contrastive term: zero, but still with a gradient, where there is nothing to contrast."""
        hidden = outputs.get("hidden")
        if hidden is None:
            if active:
                raise PlutoError(NO_HIDDEN)
            return outputs["prediction"].sum() * 0.0
        count = hidden.shape[0]
        if not active or count % COPIES:
            return hidden.sum() * 0.0
        order, whole = triplets(batch, count)
        return contrastive(hidden if order is None else hidden[order], whole, self.temperature)


def compute_losses(
    outputs: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    *,
    contrast: bool,
    training: bool,
    parity: bool = True,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Return every term of the objective and `loss`, their weighted sum, with the published settings.

    Args:
        outputs: Of the network.
        batch: What they were computed from.
        contrast: Whether triplets are contrasted in training.
        training: Whether this is a training step.
        parity: Compute what the reference computes.
        weights: Weight of each term by its name; 1 where silent.
    """
    return PlutoObjective(contrast=contrast, parity=parity, weights=weights)(outputs, batch, training)


def make(config: PlutoObjectiveConfig, context: Context) -> PlutoObjective:
    """Return the objective for the model in `context`, which must offer what is contrasted."""
    model = context.shared.get("model")
    if config.contrast and isinstance(model, PlutoNetwork) and model.hidden_proj is None:
        raise PlutoError(NO_HIDDEN)
    return PlutoObjective(
        contrast=config.contrast,
        collision=config.collision,
        regulate_yaw=config.regulate_yaw,
        radius_m=config.radius,
        temperature=config.temperature,
        weights=config.weights,
        parity=config.parity,
    )


def _checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every term; names that are no terms are the user's mistake."""
    if unknown := sorted(weights.keys() - set(TERMS)):
        message = f"objective pluto: no term named {', '.join(unknown)}; terms are {', '.join(TERMS)}"
        raise PlutoError(message)
    return {name: float(weights.get(name, 1.0)) for name in TERMS}


def _wide(value: Tensor) -> Tensor:
    """Return the value in float32 or wider: sums over a batch lose too much in half precision."""
    return value.to(torch.promote_types(value.dtype, torch.float32)) if value.is_floating_point() else value
