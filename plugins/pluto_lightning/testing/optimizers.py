"""`OptimizerSuite`: every parameter is stepped once, downhill, and a stored state goes on as if nothing had happened."""

import io
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from pluto_core.protocols import OptimizerMaker
from pluto_core.testing.components import ComponentSuite
from pluto_core.testing.equality import assert_same
from pluto_lightning.testing.collation import arrays_of, seeded

_STEPS = 5


class OptimizerSuite(ComponentSuite, suite=True):
    """Tests of what makes optimizers."""

    kinds: ClassVar[tuple[str, ...]] = ("optimizers",)
    subject: ClassVar[str] = "maker"

    @pytest.fixture
    def maker(self, request: pytest.FixtureRequest) -> OptimizerMaker:
        """Return the maker."""
        made: OptimizerMaker = self.make(request)
        return made

    @pytest.fixture
    def module(self) -> nn.Module:
        """Return a module with all that networks are made of, one layer frozen."""
        with seeded(0):
            module = make_network()
        module[0].requires_grad_(requires_grad=False)
        return module

    def test_every_parameter_once(self, maker: OptimizerMaker, module: nn.Module) -> None:
        """It is a torch optimizer of every parameter that may change, each once."""
        optimizer = maker(module, batch_size=8)
        assert isinstance(optimizer, torch.optim.Optimizer)
        held = [id(one) for group in optimizer.param_groups for one in group["params"]]
        assert len(held) == len(set(held)), "a parameter is in two groups"
        free = {id(one): name for name, one in module.named_parameters() if one.requires_grad}
        missing = [name for key, name in free.items() if key not in held]
        assert not missing, f"nothing steps {', '.join(missing)}"
        assert all(group["lr"] > 0 for group in optimizer.param_groups)

    def test_steps_go_downhill(self, maker: OptimizerMaker, module: nn.Module) -> None:
        """Some steps make a loss smaller, move every parameter that has a gradient, and leave frozen ones alone."""
        before = {name: value.detach().clone() for name, value in module.named_parameters()}
        losses = _train(module, maker(module, batch_size=8), _STEPS)
        assert losses[-1] < losses[0], f"loss goes from {losses[0]:.4g} to {losses[-1]:.4g}"
        for name, value in module.named_parameters():
            moved = not torch.equal(value, before[name])
            assert moved == value.requires_grad, f"{name} is {'moved' if moved else 'not moved'}"

    def test_nothing_is_left_to_chance(self, maker: OptimizerMaker) -> None:
        """The same module takes the same way."""
        ways = []
        for seed in (1, 2):
            module = _fresh()
            with seeded(seed):
                _train(module, maker(module, batch_size=8), _STEPS)
            ways.append(arrays_of(module.state_dict()))
        assert_same(ways[0], ways[1])

    def test_goes_on_from_its_state(self, maker: OptimizerMaker) -> None:
        """With the stored state, read without running any code, it goes on as an undisturbed one would."""
        whole = _fresh()
        _train(whole, maker(whole, batch_size=8), 2 * _STEPS)
        first = _fresh()
        optimizer = maker(first, batch_size=8)
        _train(first, optimizer, _STEPS)
        second = _fresh()
        second.load_state_dict(first.state_dict())
        fresh = maker(second, batch_size=8)
        fresh.load_state_dict(stored(optimizer.state_dict()))
        _train(second, fresh, _STEPS)
        assert_same(arrays_of(whole.state_dict()), arrays_of(second.state_dict()))


def make_network() -> nn.Sequential:
    """Return a small network of linear layers, a norm and a convolution, with a bias each."""
    return nn.Sequential(
        nn.Linear(4, 8), nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 2, 3), nn.Flatten()
    )


def stored(state: Any) -> Any:
    """Return a state as a checkpoint gives it back: read without running any code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _fresh() -> nn.Module:
    with seeded(0):
        return make_network()


def _train(module: nn.Module, optimizer: Any, steps: int) -> list[float]:
    inputs = torch.linspace(-1, 1, 32).reshape(8, 4)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (module(inputs) - inputs.sum(dim=1, keepdim=True)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
