"""`ModelSuite`: a model reads what it names, plans in the agreed form, can be stored, and learns."""

import fnmatch
import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pluto_core.arrays import SampleSpec
from pluto_core.plan import Plan
from pluto_core.samples import Sample
from pluto_core.testing.components import Recipe
from pluto_core.testing.equality import assert_same
from pluto_core.testing.supplied import SuppliedSuite
from pluto_lightning.testing.collation import arrays_of, collate, leaves, restricted, seeded, taken

_FULL = 1e-4
"""How far a row of probabilities may be from one."""
_NEGLIGIBLE = 1e-4
"""Modes below this probability need not be found again."""


class ModelSuite(SuppliedSuite, suite=True):
    """Tests of a model. Its samples are built by the builders that it `requires`; or a subclass gives `spec` and `samples`."""

    kinds: ClassVar[tuple[str, ...]] = ("models",)
    subject: ClassVar[str] = "model"
    pad_invariant: ClassVar[bool] = True
    """Whether a scenario's plan does not depend on padding, hence not on the batch in which it stands."""
    trains: ClassVar[bool] = True
    """Whether there is anything to learn."""
    unreached: ClassVar[tuple[str, ...]] = ()
    """Parameters (patterns such as `head.*`) that no gradient reaches, because only some objectives or batches use them."""
    tolerance: ClassVar[float] = 1e-3
    """Largest difference of positions, headings and probabilities that rounding may make."""

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> Any:
        """Return the model with fresh weights, ready to evaluate."""
        with seeded(0):
            return self.make(request).eval()

    @pytest.fixture
    def batch(self, samples: Sequence[Sample], spec: SampleSpec) -> Mapping[str, Any]:
        """Return all samples as one batch."""
        return collate(samples, spec)

    def test_keeps_the_protocol(self, model: Any) -> None:
        """It is a torch module that plans."""
        assert isinstance(model, nn.Module)
        assert callable(getattr(model, "plan", None)), "a model says by `plan` how its outputs become a plan"

    def test_reads_what_it_names(self, request: pytest.FixtureRequest, model: Any, batch: Mapping[str, Any]) -> None:
        """The arrays that it `requires` are there and enough: without the others it plans the same."""
        requirement = self.requirement(request)
        if requirement is None:
            pytest.skip("the model is not taken from hooks, or does not say what it requires")
        missing = sorted(set(requirement.keys) - leaves(batch).keys())
        assert not missing, f"the builders that it names do not give {', '.join(missing)}"
        assert_same(_planned(model, restricted(batch, requirement.keys)), _planned(model, batch))

    @pytest.mark.parametrize("training", [False, True])
    def test_outputs_are_finite(self, model: Any, batch: Mapping[str, Any], training: bool) -> None:  # noqa: FBT001
        """Outputs are tensors by name, and hold no NaN and no infinity, in training and in evaluation."""
        with seeded(0), torch.no_grad():
            outputs = model.train(training)(batch)
        assert leaves(outputs), "the model gives no tensors by name"
        bad = [name for name, value in leaves(outputs).items() if not torch.isfinite(value).all()]
        assert not bad, f"not finite: {', '.join(bad)}"

    def test_plans_are_valid(self, model: Any, batch: Mapping[str, Any], samples: Sequence[Sample]) -> None:
        """A plan holds a row a sample, finite poses, and probabilities that sum to one."""
        plan = _plan(model, batch)
        assert isinstance(plan, Plan)
        rows, modes, steps, _ = plan.trajectories.shape
        assert rows == len(samples)
        assert modes
        assert steps
        for name in ("trajectories", "probabilities"):
            array = getattr(plan, name)
            assert isinstance(array, np.ndarray), f"{name} is no array on the CPU"
            assert array.dtype in (np.float32, np.float64), f"{name} is {array.dtype}"
            assert np.isfinite(array).all(), f"{name} holds NaN or infinity"
        assert (plan.probabilities >= 0).all()
        assert np.abs(plan.probabilities.sum(axis=1) - 1).max() < _FULL, "probabilities do not sum to one"

    def test_plan_outlives_its_batch(self, model: Any, batch: Mapping[str, Any]) -> None:
        """A plan shares no memory with the batch, whose buffer is used again for the next one."""
        plan = _plan(model, batch)
        before = plan.trajectories.copy(), plan.probabilities.copy()
        for tensor in leaves(batch).values():
            tensor.zero_()
        assert_same(before, (plan.trajectories, plan.probabilities))

    def test_batch_is_left_alone(self, model: Any, batch: Mapping[str, Any]) -> None:
        """Neither planning nor a training step changes the batch, which objective and metrics read too."""
        before = arrays_of(batch)
        _plan(model, batch)
        with seeded(0):
            model.train()(batch)
        assert_same(before, arrays_of(batch))

    def test_every_sample_alone(self, model: Any, samples: Sequence[Sample], spec: SampleSpec) -> None:
        """A batch of one is a batch, also where nobody else is there."""
        for sample in samples:
            assert np.isfinite(_plan(model, collate([sample], spec)).trajectories).all()

    def test_same_again(self, model: Any, batch: Mapping[str, Any]) -> None:
        """In evaluation nothing is left to chance: the same batch gives the same plan to the last bit."""
        with seeded(1):
            first = _planned(model, batch)
        with seeded(2):
            assert_same(first, _planned(model, batch))

    def test_same_seed_same_weights(self, recipe: Recipe) -> None:
        """Fresh weights follow from torch's seed alone."""
        with seeded(3):
            first = recipe().state_dict()
        with seeded(3):
            assert_same(arrays_of(first), arrays_of(recipe().state_dict()))

    def test_weights_can_be_stored(self, model: Any, batch: Mapping[str, Any], recipe: Recipe) -> None:
        """Another model with the stored weights, read without running any code, plans the same."""
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        with seeded(4):
            other = recipe().eval()
        other.load_state_dict(torch.load(file, weights_only=True), strict=True)
        assert_same(_planned(model, batch), _planned(other, batch))

    def test_tensors_are_registered(self, model: Any) -> None:
        """Every tensor is a parameter or a buffer, so that it moves with the model to another device."""
        loose = [
            f"{name}.{key}".lstrip(".")
            for name, module in model.named_modules()
            for key, value in vars(module).items()
            if isinstance(value, Tensor)
        ]
        assert not loose, f"neither parameters nor buffers: {', '.join(loose)}; use register_buffer"

    def test_gradients_reach_parameters(self, model: Any, batch: Mapping[str, Any]) -> None:
        """Every parameter that may change gets a finite gradient, but for those that `unreached` names; one is not zero."""
        with seeded(5):
            outputs = leaves(model.train()(batch))
            parts = [value.float() for value in outputs.values() if value.requires_grad]
            assert parts, "no output has a gradient"
            torch.autograd.backward([(part * torch.randn_like(part)).sum() for part in parts])
        named = {name: value for name, value in model.named_parameters() if value.requires_grad}
        assert named
        named = {name: value for name, value in named.items() if not any(fnmatch.fnmatch(name, one) for one in self.unreached)}
        missed = [name for name, value in named.items() if value.grad is None]
        assert not missed, f"no gradient reaches {', '.join(missed)}"
        gradients = [value.grad for value in named.values() if value.grad is not None]
        assert all(torch.isfinite(one).all() for one in gradients), "a gradient is NaN or infinite"
        assert not self.trains or any(bool(one.any()) for one in gradients), "all gradients are zero (trains = True)"

    def test_rows_do_not_mix(self, model: Any, batch: Mapping[str, Any], samples: Sequence[Sample]) -> None:
        """A row's plan does not depend on its place in the batch."""
        order = list(range(len(samples)))[::-1]
        plan, turned = _plan(model, batch), _plan(model, taken(batch, order, len(samples)))
        for row, place in enumerate(order):
            self._assert_same(plan, place, turned, row)

    def test_padding_changes_nothing(
        self, model: Any, batch: Mapping[str, Any], samples: Sequence[Sample], spec: SampleSpec
    ) -> None:
        """A sample's plan is the same alone and in a batch with larger ones, unless `pad_invariant` says otherwise."""
        if not self.pad_invariant:
            pytest.skip("plans depend on padding (pad_invariant = False)")
        plan = _plan(model, batch)
        for row, sample in enumerate(samples):
            self._assert_same(_plan(model, collate([sample], spec)), 0, plan, row)

    def _assert_same(self, first: Plan, first_row: int, other: Plan, other_row: int) -> None:
        """Both rows hold the same modes, in any order."""
        for one, its_row, against, row in ((first, first_row, other, other_row), (other, other_row, first, first_row)):
            likely = one.probabilities[its_row] > _NEGLIGIBLE
            gap = np.abs(one.trajectories[its_row][likely, None] - against.trajectories[row][None]).max(axis=(2, 3))
            apart = np.abs(one.probabilities[its_row][likely, None] - against.probabilities[row][None])
            nearest = np.maximum(gap, apart).min(axis=1)
            assert (nearest < self.tolerance).all(), (
                f"row {its_row} differs by {nearest.max():.2g} in row {row} of another batch"
            )


def _plan(model: Any, batch: Mapping[str, Any]) -> Plan:
    model.eval()
    with torch.no_grad():
        plan: Plan = model.plan(model(batch), batch)
    return plan


def _planned(model: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    plan = _plan(model, batch)
    return plan.trajectories.copy(), plan.probabilities.copy()
