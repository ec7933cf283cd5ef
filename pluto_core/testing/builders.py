"""`BuilderSuite`: builders of features and targets turn any scene into what they promise, and remember nothing."""

import pickle
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from pluto_core.arrays import to_plain
from pluto_core.component import Component, load
from pluto_core.errors import SampleError
from pluto_core.pipeline import codec
from pluto_core.pipeline.layout import ANCHOR, Layout
from pluto_core.protocols import SampleChecker, SceneBuilder, Sketcher
from pluto_core.samples import Sample, check
from pluto_core.scene import Scene, Window
from pluto_core.sketch import Sketch
from pluto_core.testing.components import ComponentSuite, Recipe
from pluto_core.testing.equality import assert_same, difference
from pluto_core.testing.isolation import elsewhere
from pluto_core.testing.scenes import bare_scene, make_scene


class BuilderSuite(ComponentSuite, suite=True):
    """Tests of a feature or target builder."""

    kinds: ClassVar[tuple[str, ...]] = ("features", "targets")
    subject: ClassVar[str] = "builder"

    @pytest.fixture
    def builder(self, request: pytest.FixtureRequest) -> SceneBuilder:
        """Return the builder."""
        made: SceneBuilder = self.make(request)
        return made

    @pytest.fixture
    def scenes(self, builder: SceneBuilder) -> Sequence[Scene]:
        """Return scenes of different sizes, of which the builder must be able to make samples."""
        sizes = ((3, 2), (0, 1), (8, 3))
        return [
            make_scene(agents=agents, lanes=lanes, seed=seed, window=builder.window)
            for seed, (agents, lanes) in enumerate(sizes)
        ]

    def test_keeps_the_protocol(self, builder: SceneBuilder) -> None:
        """It has a version, a window, a spec and `build`."""
        assert isinstance(builder, SceneBuilder)
        assert isinstance(builder.version, str)
        assert builder.version
        assert builder.spec

    def test_output_is_what_the_spec_says(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """Every array has the key, dims and dtype of its spec, and is finite."""
        for scene in scenes:
            check(builder.build(scene), builder.spec)

    def test_spec_is_what_the_plugin_provides(self, request: pytest.FixtureRequest, builder: SceneBuilder) -> None:
        """What `provides` says before anything is built is what the builder says."""
        if not self.hooks:
            pytest.skip("the builder is not taken from hooks")
        component: Component = request.getfixturevalue("component")
        assert component.provides is not None
        told = load(component.provides)(request.getfixturevalue("config"))
        assert to_plain(told) == to_plain(builder.spec)

    def test_no_state_between_scenes(self, builder: SceneBuilder, scenes: Sequence[Scene], recipe: Recipe) -> None:
        """A scene gives the same sample whatever was built before it."""
        first = builder.build(scenes[0])
        for scene in scenes[1:]:
            builder.build(scene)
        assert_same(first, builder.build(scenes[0]))
        assert_same(recipe().build(scenes[-1]), builder.build(scenes[-1]))

    def test_scene_is_left_alone(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """Building changes nothing in the scene, which other builders read too."""
        scene = scenes[0]
        before = pickle.loads(pickle.dumps(attrs.evolve(scene, map=attrs.evolve(scene.map, reopen=None))))  # noqa: S301 -- ours
        builder.build(scene)
        assert_same(before, scene)

    def test_same_in_another_process(self, builder: SceneBuilder, scenes: Sequence[Scene], recipe: Recipe) -> None:
        """A builder made in another process gives the same bits."""
        assert_same(elsewhere(_build, recipe, scenes[0]), builder.build(scenes[0]))

    def test_empty_scene(self, builder: SceneBuilder) -> None:
        """A scene without agents, map, route, lights, past and future gives a valid sample, or a `SampleError`."""
        sample = _attempt(builder, bare_scene(builder.window))
        if sample is not None:
            check(sample, builder.spec)

    @pytest.mark.parametrize("recorded_s", [(-0.25, 100.0), (-100.0, 1.0), (0.0, 0.0)])
    def test_short_recordings(self, builder: SceneBuilder, recorded_s: tuple[float, float]) -> None:
        """Too little past or future gives a valid sample of the same shape, or a `SampleError`."""
        sample = _attempt(builder, make_scene(window=builder.window, recorded_s=recorded_s))
        if sample is not None:
            check(sample, builder.spec)

    def test_wider_window_changes_nothing(self, builder: SceneBuilder) -> None:
        """A sample does not depend on what other builders make the source load."""
        own = builder.window
        wider = Window(history_s=own.history_s + 1, future_s=own.future_s + 2, interval_s=own.interval_s / 2)
        told = builder.build(make_scene(agents=5, window=wider).narrow(own))
        assert_same(told, builder.build(make_scene(agents=5, window=own)))

    def test_samples_can_be_stored(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """A stored sample is read back with the same shapes and, where the dtype at rest is not narrower, the same bits."""
        for scene in scenes:
            sample = builder.build(scene)
            read = codec.decode(codec.encode(sample, builder.spec, "default", key=b"k"), key=b"k", verify=True)
            check(read, builder.spec, dtypes=False)
            for key, array in sample.items():
                if builder.spec[key].stored_dtype == builder.spec[key].dtype:
                    assert difference(array, np.asarray(read[key])) is None, key

    def test_check(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """Where it offers a check of stored samples, it takes its own."""
        if not isinstance(builder, SampleChecker):
            pytest.skip("the builder offers no check")
        for scene in scenes:
            builder.check(codec.decode(codec.encode(builder.build(scene), builder.spec, "default")))

    def test_samples_make_a_batch(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """Samples of different sizes stand in one batch; its rows begin with the samples."""
        samples = [builder.build(scene) for scene in scenes]
        layout = Layout(builder.spec)
        arranged = layout.arrange({ANCHOR: samples})
        batch = arranged.fill(np.zeros(arranged.nbytes, np.uint8))
        for key, array in batch.items():
            for row, sample in zip(array, samples, strict=True):
                inside = tuple(slice(size) for size in sample[key].shape)
                assert difference(np.asarray(row[inside]), sample[key]) is None, key

    def test_sketch(self, builder: SceneBuilder, scenes: Sequence[Scene]) -> None:
        """Where it offers a drawing of its samples, it draws each with finite numbers."""
        if not isinstance(builder, Sketcher):
            pytest.skip("the builder offers no sketch")
        for scene in scenes:
            sketch = builder.sketch(builder.build(scene))
            assert isinstance(sketch, Sketch)
            drawn: list[Any] = [*(line.points for line in sketch.lines), *(area.points for area in sketch.areas)]
            assert all(points.ndim == 2 and points.shape[1] == 2 for points in drawn)  # noqa: PLR2004 -- x and y
            numbers = [np.ravel(points) for points in drawn]
            numbers += [np.array([*box.center, box.heading_rad, box.length_m, box.width_m]) for box in sketch.boxes]
            assert all(np.isfinite(values).all() for values in numbers)


def _build(recipe: Recipe, scene: Scene) -> Sample:
    built: Sample = recipe().build(scene)
    return built


def _attempt(builder: SceneBuilder, scene: Scene) -> Sample | None:
    try:
        return builder.build(scene)
    except SampleError:
        return None
