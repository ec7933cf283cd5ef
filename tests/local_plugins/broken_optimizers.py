"""Makers of optimizers, each with one defect."""

import sys

import torch
from broken_parts import caught_by, components

from pluto_core import hookimpl


class Maker:
    """Makes Adam of what may change; without a defect."""

    def __init__(self, *_):
        pass

    def __call__(self, module, *, batch_size):
        """Return the optimizer."""
        return self.made([one for one in module.parameters() if one.requires_grad])

    def made(self, parameters):
        """Return the optimizer of some parameters."""
        return torch.optim.Adam(parameters, lr=0.01)


@caught_by("test_every_parameter_once", "test_steps_go_downhill")
class Forgetful(Maker):
    """Leaves out the last parameter."""

    def made(self, parameters):
        """Return the optimizer of too few."""
        return super().made(parameters[:-1])


@caught_by("test_steps_go_downhill")
class Uphill(Maker):
    """Climbs."""

    def made(self, parameters):
        """Return an optimizer that maximises."""
        return torch.optim.SGD(parameters, lr=0.01, maximize=True)


class _Noisy(torch.optim.SGD):
    def step(self, closure=None):
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for one in group["params"]:
                    one.add_(1e-3 * torch.randn_like(one))


@caught_by("test_nothing_is_left_to_chance")
class Gambling(Maker):
    """Adds noise of its own."""

    def made(self, parameters):
        """Return an optimizer with noise."""
        return _Noisy(parameters, lr=0.01)


class _Fading(torch.optim.SGD):
    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.01 / self.steps
        super().step(closure)


@caught_by("test_goes_on_from_its_state")
class Absent(Maker):
    """Counts steps outside its state."""

    def made(self, parameters):
        """Return an optimizer that forgets how many steps it did."""
        return _Fading(parameters, lr=0.01)


@hookimpl
def pluto_register_optimizers():
    """Return all of them."""
    return components(sys.modules[__name__])
