"""`AugmentationSuite`: variants are what was announced, follow from the given chance alone, and leave the original alone."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError
from pluto_core.pipeline.layout import ANCHOR, Layout
from pluto_core.protocols import Augmentation
from pluto_core.samples import Sample, check
from pluto_core.testing.components import Recipe
from pluto_core.testing.equality import assert_same, difference, freeze
from pluto_core.testing.isolation import elsewhere
from pluto_core.testing.supplied import SuppliedSuite

Variants = Mapping[str, Mapping[str, np.ndarray[Any, Any]] | None]
_SEEDS = range(8)


class AugmentationSuite(SuppliedSuite, suite=True):
    """Tests of an augmentation, on samples of the builders that it `requires`; or a subclass gives `spec` and `samples`."""

    kinds: ClassVar[tuple[str, ...]] = ("augmentations",)
    subject: ClassVar[str] = "augmentation"
    roles: ClassVar[tuple[str, ...] | None] = None
    """The roles that it must give, in order; None: those that `output_spec` says."""
    varies: ClassVar[bool] = True
    """Whether another chance gives another result, for at least one of the samples."""

    @pytest.fixture
    def augmentation(self, request: pytest.FixtureRequest) -> Augmentation:
        """Return the augmentation."""
        made: Augmentation = self.make(request)
        return made

    def test_keeps_the_protocol(self, augmentation: Augmentation) -> None:
        """It announces roles and gives them."""
        assert isinstance(augmentation, Augmentation)

    def test_samples_are_what_their_spec_says(self, samples: Sequence[Sample], spec: SampleSpec) -> None:
        """The samples of this test are valid, and there are two at least."""
        assert len(samples) > 1
        for sample in samples:
            check(sample, spec)

    def test_roles_are_as_declared(self, augmentation: Augmentation, samples: Sequence[Sample], spec: SampleSpec) -> None:
        """It gives the roles that it announces, the anchor among them, and always an anchor."""
        announced = tuple(augmentation.output_spec(spec))
        assert ANCHOR in announced
        assert self.roles is None or announced == self.roles
        for sample in samples:
            for seed in _SEEDS:
                variants = _vary(augmentation, sample, seed)
                assert set(variants) == set(announced)
                assert variants[ANCHOR] is not None

    def test_output_is_what_it_announces(self, augmentation: Augmentation, samples: Sequence[Sample], spec: SampleSpec) -> None:
        """Every variant is what `output_spec` says; every role is given at least once."""
        announced, given = augmentation.output_spec(spec), set()
        for sample in samples:
            for seed in _SEEDS:
                for role, variant in _vary(augmentation, sample, seed).items():
                    if variant is not None:
                        given.add(role)
                        check(variant, announced[role])
        assert given == set(announced), f"never given: {', '.join(sorted(set(announced) - given))}"

    def test_input_is_left_alone(self, augmentation: Augmentation, samples: Sequence[Sample]) -> None:
        """The sample, which cannot be written to when it comes from a cache, is not changed."""
        for sample in samples:
            given = freeze(sample)
            for seed in _SEEDS:
                augmentation.augment(given, np.random.default_rng(seed), 0)
            assert_same(given, dict(sample))

    def test_same_chance_same_result(self, augmentation: Augmentation, samples: Sequence[Sample], recipe: Recipe) -> None:
        """The same generator gives the same variants, asked again or made anew."""
        first = [_vary(augmentation, sample, 3) for sample in samples]
        assert_same(first, [_vary(augmentation, sample, 3) for sample in samples])
        fresh = recipe()
        assert_same(first[-1], _vary(fresh, samples[-1], 3))

    def test_another_chance_another_result(self, augmentation: Augmentation, samples: Sequence[Sample]) -> None:
        """Another generator gives other variants, unless `varies` says otherwise."""
        if not self.varies:
            pytest.skip("nothing is left to chance (varies = False)")
        results = [[_vary(augmentation, sample, seed) for sample in samples] for seed in _SEEDS]
        assert any(difference(results[0], other) for other in results[1:])

    def test_no_other_chance(self, augmentation: Augmentation, samples: Sequence[Sample]) -> None:
        """Numpy's global generator is neither read nor moved."""
        before = np.random.get_state()
        first = _vary(augmentation, samples[0], 1)
        assert_same(before, np.random.get_state())
        np.random.seed(12345)
        try:
            assert_same(first, _vary(augmentation, samples[0], 1))
        finally:
            np.random.set_state(before)

    def test_same_in_another_process(self, augmentation: Augmentation, samples: Sequence[Sample], recipe: Recipe) -> None:
        """Made in another process it gives the same bits."""
        assert_same(elsewhere(_vary_with, recipe, samples[0], 5), _vary(augmentation, samples[0], 5))

    def test_variants_stand_in_one_batch(self, augmentation: Augmentation, samples: Sequence[Sample], spec: SampleSpec) -> None:
        """All roles of all samples make one batch."""
        announced = augmentation.output_spec(spec)
        layout = Layout(spec, announced)
        varied = [_vary(augmentation, sample, number) for number, sample in enumerate(samples)]
        arranged = layout.arrange({role: [variants[role] for variants in varied] for role in announced})
        batch = arranged.fill(np.zeros(arranged.nbytes, np.uint8))
        assert all(len(array) == len(samples) * len(announced) for array in batch.values())

    def test_missing_arrays_are_named(
        self, request: pytest.FixtureRequest, augmentation: Augmentation, spec: SampleSpec
    ) -> None:
        """A spec without an array that it needs is refused at once, naming the array."""
        requirement = self.requirement(request)
        if requirement is None:
            pytest.skip("the augmentation does not say what it requires")
        for key in requirement.keys:
            with pytest.raises(PlutoError, match=key):
                augmentation.output_spec({name: array for name, array in spec.items() if name != key})


def _vary(augmentation: Augmentation, sample: Sample, seed: int) -> Variants:
    return augmentation.augment(sample, np.random.default_rng(seed), 0)


def _vary_with(recipe: Recipe, sample: Sample, seed: int) -> Variants:
    return _vary(recipe(), sample, seed)
