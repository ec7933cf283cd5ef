"""`ObjectiveSuite`: losses are numbers that can be followed downhill, the same for the same rows."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import attrs
import pytest
import torch

from pluto_core.arrays import SampleSpec
from pluto_core.component import Component, Context, load
from pluto_core.errors import SampleError
from pluto_core.plugins import Catalogue
from pluto_core.samples import Sample
from pluto_core.testing.components import Recipe
from pluto_core.testing.equality import assert_same
from pluto_core.testing.supplied import SuppliedSuite
from pluto_core.testing.supply import Supply
from pluto_lightning.testing.collation import arrays_of, collate, leaves, mapped, seeded, taken

Terms = Mapping[str, Any]
_LOSS = "loss"
_STEPS = 10


class ObjectiveSuite(SuppliedSuite, suite=True):
    """Tests of an objective, with the model of the same plugin and name, or the one called `model_use`."""

    kinds: ClassVar[tuple[str, ...]] = ("objectives",)
    subject: ClassVar[str] = "objective"
    asker: ClassVar[str] = "model_component"
    asker_config: ClassVar[str] = "model_config"
    model_use: ClassVar[str] = ""
    """Name of the model; empty: the objective's."""
    trains: ClassVar[bool] = True
    """Whether the model can learn."""
    tolerance: ClassVar[float] = 1e-4
    """Largest difference of a term, relative to it, that rounding may make."""

    @pytest.fixture
    def model_settings(self) -> Mapping[str, Any]:
        """Return the settings of the model; override it where the defaults are too large to be quick."""
        return {}

    @pytest.fixture
    def model_component(self) -> Component:
        """Return the model as its plugin registers it."""
        return Catalogue.of(importlib.import_module(self.hooks)).component("models", self.model_use or self.use)

    @pytest.fixture
    def model_config(self, model_component: Component, model_settings: Mapping[str, Any]) -> Any:
        """Return the model's config."""
        return load(model_component.config)(**model_settings)

    @pytest.fixture
    def model(self, model_component: Component, model_config: Any, context: Context) -> Any:
        """Return the model with fresh weights."""
        with seeded(0):
            return load(model_component.factory)(model_config, context).eval()

    @pytest.fixture
    def recipe(self, request: pytest.FixtureRequest, model: Any) -> Recipe:
        """Return what makes the objective anew for the model."""
        if not self.hooks:
            return lambda: request.getfixturevalue(self.subject)
        component: Component = request.getfixturevalue("component")
        config, context = request.getfixturevalue("config"), request.getfixturevalue("context")
        return lambda: load(component.factory)(config, attrs.evolve(context, shared={"model": model}))

    @pytest.fixture
    def objective(self, request: pytest.FixtureRequest) -> Callable[..., Terms]:
        """Return the objective."""
        made: Callable[..., Terms] = self.make(request)
        return made

    @pytest.fixture
    def batch(self, samples: Sequence[Sample], spec: SampleSpec) -> Mapping[str, Any]:
        """Return all samples as one batch."""
        return collate(samples, spec)

    @pytest.fixture
    def outputs(self, model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the model makes of the batch, in evaluation, with gradients."""
        given: Mapping[str, Any] = model(batch)
        return given

    @pytest.mark.parametrize("training", [False, True])
    def test_terms_are_finite_scalars(
        self,
        objective: Callable[..., Terms],
        outputs: Mapping[str, Any],
        batch: Mapping[str, Any],
        training: bool,  # noqa: FBT001
    ) -> None:
        """It gives terms by name, `loss` among them: tensors of one finite number, float32 or wider."""
        terms = objective(outputs, batch, training=training)
        assert _LOSS in terms
        for name, value in terms.items():
            assert isinstance(value, torch.Tensor), f"{name} is no tensor"
            assert value.ndim == 0, f"{name} has shape {tuple(value.shape)}; a term is one number"
            assert value.dtype in (torch.float32, torch.float64), f"{name} is {value.dtype}"
            assert torch.isfinite(value), f"{name} is {float(value)}"

    def test_same_terms_in_training_and_evaluation(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> None:
        """Curves of training and evaluation have the same names."""
        assert set(objective(outputs, batch, training=True)) == set(objective(outputs, batch, training=False))

    def test_half_precision_outputs(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> None:
        """Outputs in bfloat16, as mixed precision gives them, make terms that are finite, in float32 or wider."""
        half = mapped(outputs, lambda value: value.bfloat16() if value.is_floating_point() else value)
        for name, value in objective(half, batch, training=True).items():
            assert value.dtype in (torch.float32, torch.float64), f"{name} is {value.dtype}"
            assert torch.isfinite(value), f"{name} is {float(value)}"

    def test_gradient_reaches_the_model(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any], model: Any
    ) -> None:
        """The gradient of `loss` is finite and, unless `trains` says otherwise, not zero."""
        objective(outputs, batch, training=True)[_LOSS].backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        assert gradients, "no gradient reaches the model"
        assert all(torch.isfinite(one).all() for one in gradients), "a gradient is NaN or infinite"
        assert not self.trains or any(bool(one.any()) for one in gradients), "all gradients are zero (trains = True)"

    def test_downhill(self, objective: Callable[..., Terms], batch: Mapping[str, Any], model: Any) -> None:
        """Following the gradient for some steps on one batch makes `loss` smaller, unless `trains` says otherwise."""
        if not self.trains:
            pytest.skip("there is nothing to learn (trains = False)")
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        losses = []
        for _ in range(_STEPS):
            optimizer.zero_grad()
            loss = objective(model(batch), batch, training=True)[_LOSS]
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0], f"loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {_STEPS} steps"

    def test_order_of_rows_does_not_matter(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any], samples: Sequence[Sample]
    ) -> None:
        """The same rows in another order make the same terms."""
        count, order = len(samples), list(range(len(samples)))[::-1]
        terms = objective(outputs, batch, training=True)
        self._assert_close(terms, objective(taken(outputs, order, count), taken(batch, order, count), training=True))

    def test_same_again(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any], recipe: Recipe
    ) -> None:
        """It draws nothing and remembers nothing: asked again, or made anew, it gives the same terms."""
        with seeded(1):
            first = arrays_of(objective(outputs, batch, training=True))
        with seeded(2):
            assert_same(first, arrays_of(objective(outputs, batch, training=True)))
            assert_same(first, arrays_of(recipe()(outputs, batch, training=True)))

    def test_inputs_are_left_alone(
        self, objective: Callable[..., Terms], outputs: Mapping[str, Any], batch: Mapping[str, Any]
    ) -> None:
        """Outputs and batch are not changed: the plan and the metrics are made of them."""
        before = arrays_of(outputs), arrays_of(batch)
        objective(outputs, batch, training=True)
        assert_same(before, (arrays_of(outputs), arrays_of(batch)))

    def test_unknown_future(
        self,
        request: pytest.FixtureRequest,
        objective: Callable[..., Terms],
        model: Any,
        spec: SampleSpec,
    ) -> None:
        """Rows of which no future is known make finite terms and finite gradients."""
        if self.requirement(request) is None:
            pytest.skip("samples are not built from scenes")
        supply: Supply = request.getfixturevalue("supply")
        try:
            ended = supply.sample(recorded_s=(-100.0, 0.0))
        except SampleError as error:
            pytest.skip(f"builders refuse such scenes: {error}")
        batch = collate([ended, ended], spec)
        terms = objective(model(batch), batch, training=True)
        assert all(torch.isfinite(value) for value in leaves(terms).values()), "a term is NaN or infinite"
        if terms[_LOSS].requires_grad:
            terms[_LOSS].backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        assert all(torch.isfinite(one).all() for one in gradients), "a gradient is NaN or infinite"

    def _assert_close(self, first: Terms, other: Terms) -> None:
        for name, value in first.items():
            gap, allowed = float((value - other[name]).detach().abs()), self.tolerance * (1 + float(value.detach().abs()))
            assert gap <= allowed, f"{name} differs by {gap:.3g}"
