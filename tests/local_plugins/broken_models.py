"""Models, each with one defect."""

import sys

import attrs
import numpy as np
import torch
from broken_parts import caught_by, components
from torch import nn

from pluto_core import hookimpl
from pluto_core.plan import Plan
from pluto_lightning.testing.fakes import FakeModel


class _Model(FakeModel):
    def __init__(self, config, _context):
        super().__init__(config)


@caught_by("test_keeps_the_protocol")
class Planless(nn.Module):
    """Gives outputs, and nobody knows how they become a plan."""

    def __init__(self, *_):
        super().__init__()

    forward = FakeModel.forward


@caught_by("test_reads_what_it_names")
class Nosy(_Model):
    """Reads an array that it does not name."""

    def forward(self, batch):
        """Return outputs that know the truth."""
        outputs = super().forward(batch)
        return {**outputs, "trajectory": outputs["trajectory"] + batch["truth"]["trajectory"][:, None]}


@caught_by("test_outputs_are_finite", "test_plans_are_valid")
class NotFinite(_Model):
    """Divides by nothing where nobody is there."""

    def forward(self, batch):
        """Return NaN for rows without agents."""
        count = batch["agent"]["valid"][..., -1].sum(dim=1)
        outputs = super().forward(batch)
        return {**outputs, "trajectory": outputs["trajectory"] * (count / count)[:, None, None, None]}


@caught_by("test_plans_are_valid")
class Sure(_Model):
    """Is sure of every mode."""

    def plan(self, outputs, batch):
        """Return probabilities that sum to more than one."""
        plan = super().plan(outputs, batch)
        return attrs.evolve(plan, probabilities=np.ones_like(plan.probabilities))


@caught_by("test_plan_outlives_its_batch")
class Borrowing(_Model):
    """Plans inside the batch's memory."""

    def plan(self, outputs, batch):
        """Return a plan that is a view of the batch."""
        speed = batch["speed"].numpy()[:, None]
        return Plan(
            trajectories=np.broadcast_to(speed[..., None, None], (len(speed), 1, 20, 3)), probabilities=np.ones_like(speed)
        )


@caught_by("test_batch_is_left_alone")
class Scribbling(_Model):
    """Scales the batch in place."""

    def forward(self, batch):
        """Write into the batch."""
        batch["speed"].mul_(0.5)
        return super().forward(batch)


@caught_by("test_every_sample_alone")
class Sociable(_Model):
    """Needs an agent."""

    def forward(self, batch):
        """Look at the nearest agent."""
        batch["agent"]["position"].amin(dim=1)
        return super().forward(batch)


@caught_by("test_same_again")
class Gambling(_Model):
    """Draws in evaluation."""

    def forward(self, batch):
        """Return outputs moved by chance."""
        outputs = super().forward(batch)
        return {**outputs, "trajectory": outputs["trajectory"] + torch.rand(())}


@caught_by("test_same_seed_same_weights", "test_weights_can_be_stored")
class Wild(_Model):
    """Draws something of numpy's, and keeps it out of its state."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.shift = float(np.random.default_rng().uniform(1, 9))
        with torch.no_grad():
            self.choice.bias.add_(self.shift)

    def forward(self, batch):
        """Return outputs that depend on what is not stored."""
        outputs = super().forward(batch)
        return {**outputs, "trajectory": outputs["trajectory"] + self.shift}


@caught_by("test_tensors_are_registered")
class Loose(_Model):
    """Holds a tensor that stays behind when the model moves."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.scale = torch.ones(3)


@caught_by("test_gradients_reach_parameters")
class Numb(_Model):
    """Has a layer that nothing uses."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.spare = nn.Linear(3, 3)


@caught_by("test_gradients_reach_parameters")
class Cut(_Model):
    """Multiplies what it learns by zero."""

    def forward(self, batch):
        """Return outputs without an effect."""
        return {name: 0.0 * value for name, value in super().forward(batch).items()}


@caught_by("test_rows_do_not_mix")
class Numbered(_Model):
    """Treats the first row in its own way."""

    def forward(self, batch):
        """Return outputs that depend on the place in the batch."""
        outputs = super().forward(batch)
        place = torch.arange(len(outputs["logits"]))[:, None, None, None]
        return {**outputs, "trajectory": outputs["trajectory"] + place}


@caught_by("test_padding_changes_nothing")
class Averaging(_Model):
    """Counts padded rows as agents."""

    def forward(self, batch):
        """Return outputs that depend on the number of rows."""
        outputs = super().forward(batch)
        return {**outputs, "trajectory": outputs["trajectory"] + batch["agent"]["valid"].shape[1]}


@hookimpl
def pluto_register_models():
    """Return all of them."""
    config = "pluto_lightning.testing.config:FakeModelConfig"
    return components(sys.modules[__name__], config=config, requires="pluto_lightning.testing.needs:fake")
