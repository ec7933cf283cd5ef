"""Objectives, each with one defect."""

import sys

import torch
from broken_parts import caught_by, components

from pluto_core import Component, hookimpl
from pluto_lightning.testing.fakes import FakeObjective


class _Objective(FakeObjective):
    def __init__(self, config, _context):
        super().__init__(config.choice)


@caught_by("test_terms_are_finite_scalars")
class Nameless(_Objective):
    """Has no term called `loss`."""

    def __call__(self, outputs, batch, *, training):
        """Return terms without a sum."""
        terms = super().__call__(outputs, batch, training=training)
        return {"total": terms["loss"]}


@caught_by("test_terms_are_finite_scalars")
class Dividing(_Objective):
    """Divides by how far a future of ten known steps is from one of ten."""

    def __call__(self, outputs, batch, *, training):
        """Return NaN where no future is known."""
        terms = super().__call__(outputs, batch, training=training)
        known = batch["truth"]["valid"].sum(dim=1).float() - 10
        return {**terms, "loss": terms["loss"] + (known / known).sum()}


@caught_by("test_unknown_future")
class Expecting(_Objective):
    """Divides by the number of known steps of the whole batch."""

    def __call__(self, outputs, batch, *, training):
        """Return infinity where no future is known at all."""
        terms = super().__call__(outputs, batch, training=training)
        return {**terms, "loss": terms["loss"] + 1 / batch["truth"]["valid"].sum()}


@caught_by("test_same_terms_in_training_and_evaluation")
class Changing(_Objective):
    """Has a term more in training."""

    def __call__(self, outputs, batch, *, training):
        """Return terms that depend on `training`."""
        terms = super().__call__(outputs, batch, training=training)
        return {**terms, "extra": terms["loss"]} if training else terms


@caught_by("test_half_precision_outputs")
class Coarse(_Objective):
    """Computes in whatever precision it is given."""

    def __call__(self, outputs, batch, *, training):
        """Return terms of the outputs' type."""
        terms = super().__call__(outputs, batch, training=training)
        return {name: value.to(outputs["logits"].dtype) for name, value in terms.items()}


@caught_by("test_gradient_reaches_the_model", "test_downhill")
class Detached(_Objective):
    """Loses the gradient."""

    def __call__(self, outputs, batch, *, training):
        """Return terms without a gradient."""
        outputs = {name: value.detach() for name, value in outputs.items()}
        terms = super().__call__(outputs, batch, training=training)
        return {name: value.requires_grad_() for name, value in terms.items()}


@caught_by("test_downhill")
class Uphill(_Objective):
    """Has a gradient that points the wrong way."""

    def __call__(self, outputs, batch, *, training):
        """Return a loss whose value and gradient disagree."""
        terms = super().__call__(outputs, batch, training=training)
        return {**terms, "loss": 2 * terms["loss"].detach() - terms["loss"]}


@caught_by("test_order_of_rows_does_not_matter")
class Favouring(_Objective):
    """Weighs the first row most."""

    def __call__(self, outputs, batch, *, training):
        """Return a loss that depends on the order."""
        terms = super().__call__(outputs, batch, training=training)
        return {**terms, "loss": terms["loss"] + outputs["logits"][0].sum()}


@caught_by("test_same_again")
class Gambling(_Objective):
    """Draws."""

    def __call__(self, outputs, batch, *, training):
        """Return a loss moved by chance."""
        terms = super().__call__(outputs, batch, training=training)
        return {**terms, "loss": terms["loss"] + torch.rand(())}


@caught_by("test_inputs_are_left_alone")
class Scribbling(_Objective):
    """Fills in what is not known."""

    def __call__(self, outputs, batch, *, training):
        """Write into the batch."""
        batch["truth"]["trajectory"][~batch["truth"]["valid"]] = 7.0
        return super().__call__(outputs, batch, training=training)


@hookimpl
def pluto_register_objectives():
    """Return all of them."""
    return components(sys.modules[__name__], config="pluto_lightning.testing.config:FakeObjectiveConfig")


@hookimpl
def pluto_register_models():
    """Return the small model."""
    return [
        Component(
            "fake",
            factory="pluto_lightning.testing.fakes:make_model",
            config="pluto_lightning.testing.config:FakeModelConfig",
            requires="pluto_lightning.testing.needs:fake",
            summary="The small model.",
        )
    ]
