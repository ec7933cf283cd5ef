"""`SourceSuite`: scenarios have lasting names, and a name gives the same scene wherever it is loaded."""

import pickle
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing
from pluto_core.protocols import LogLister, ScenarioSource
from pluto_core.scene import MOVING, ScenarioId, Scene, Window
from pluto_core.testing.components import ComponentSuite, Recipe
from pluto_core.testing.equality import assert_same
from pluto_core.testing.isolation import elsewhere

_MOTION = {
    "ego_displacement_minimum_m": 0.0,
    "ego_start_speed_threshold": 1.0,
    "ego_stop_speed_threshold": 1.0,
    "ego_route_radius": 50.0,
}
_LONG_S = 120.0


class SourceSuite(ComponentSuite, suite=True):
    """Tests of a source. A subclass gives `settings` that name a small dataset of two scenarios or more."""

    kinds: ClassVar[tuple[str, ...]] = ("sources",)
    subject: ClassVar[str] = "source"
    picked: ClassVar[int] = 3
    """How many of the scenarios to load, spread over the listing."""

    @pytest.fixture
    def source(self, request: pytest.FixtureRequest) -> ScenarioSource:
        """Return the source."""
        made: ScenarioSource = self.make(request)
        return made

    @pytest.fixture
    def wanted(self) -> ScenarioFilter:
        """Return a filter that takes some scenarios."""
        return ScenarioFilter()

    @pytest.fixture
    def window(self) -> Window:
        """Return the span to load; the recordings of the scenarios have it all."""
        return Window(history_s=1.0, future_s=2.0, interval_s=0.1)

    @pytest.fixture
    def listing(self, source: ScenarioSource, wanted: ScenarioFilter) -> Listing:
        """Return what the source lists."""
        return source.list(wanted)

    @pytest.fixture
    def chosen(self, listing: Listing) -> list[ScenarioId]:
        """Return some scenarios, spread over the listing."""
        rows = np.unique(np.linspace(0, len(listing) - 1, self.picked).round().astype(int))
        return [listing.id(int(row)) for row in rows]

    def test_keeps_the_protocol(self, source: ScenarioSource) -> None:
        """It lists, loads, and says which filter fields it answers."""
        assert isinstance(source, ScenarioSource)
        fields = {field.name for field in attrs.fields(ScenarioFilter)}
        assert source.answers <= fields, f"no fields of the filter: {', '.join(sorted(source.answers - fields))}"

    def test_ids_are_unique_and_in_order(self, listing: Listing) -> None:
        """No two scenarios have one id; they stand by log, and inside a log by time."""
        ids = list(listing.ids())
        assert len(ids) > 1
        assert len(set(ids)) == len(ids)
        assert len({one.key for one in ids}) == len(ids)
        logs = [one.log for one in ids]
        runs = [log for place, log in enumerate(logs) if place == 0 or logs[place - 1] != log]
        assert len(runs) == len(set(runs)), "the scenarios of a log do not stand together"
        assert all(one.start_us <= other.start_us for one, other in pairwise(ids) if one.log == other.log)

    def test_ids_are_stable(self, listing: Listing, source: ScenarioSource, wanted: ScenarioFilter, recipe: Recipe) -> None:
        """Asked again, or made anew, it lists the same."""
        assert source.list(wanted).digest() == recipe().list(wanted).digest() == listing.digest()

    def test_lists_what_is_asked_for(self, source: ScenarioSource, wanted: ScenarioFilter, listing: Listing) -> None:
        """Logs, types, maps and tokens narrow the listing to those that have them."""
        token = listing.tokens[len(listing) // 2].decode()
        columns = {
            "log_names": [listing.logs.text(row) for row in range(len(listing))],
            "scenario_types": [listing.types.text(row) for row in range(len(listing))],
            "map_names": [listing.maps.text(row) for row in range(len(listing))],
            "scenario_tokens": [one.decode() for one in listing.tokens.tolist()],
        }
        for field, texts in columns.items():
            if field in source.answers:
                asked = token if field == "scenario_tokens" else texts[-1]
                narrow = source.list(_narrowed(wanted, {field: (asked,)}))
                expected = {listing.id(row) for row, text in enumerate(texts) if text == asked}
                assert set(narrow.ids()) >= expected, f"{field} = {asked!r} loses scenarios"
                if field != "scenario_types":  # a frame may have several types, of which a filter shows the one asked for
                    assert set(narrow.ids()) == expected, f"{field} = {asked!r} adds scenarios"

    def test_logs_can_be_listed_apart(self, source: ScenarioSource, wanted: ScenarioFilter, listing: Listing) -> None:
        """Where it names its logs, listing them one after the other gives what listing them all gives."""
        if isinstance(source, LogLister):
            parts = [source.list(_narrowed(wanted, {"log_names": (log,)})) for log in source.logs()]
            assert Listing.concatenated(parts).digest() == listing.digest(), "`logs` leaves some out, or gives another order"

    def test_columns(self, source: ScenarioSource, wanted: ScenarioFilter) -> None:
        """Columns that filters compare have a row for each scenario (of more than one step), and no NaN."""
        asked = {name: value for name, value in _MOTION.items() if name in source.answers}
        long = _narrowed(wanted, {**asked, "expand_scenarios": False})
        listing = source.list(long)
        few = listing.take(np.arange(min(len(listing), 5)))
        assert len(few)
        columns = source.columns(few, list(asked), long)
        assert set(columns) == set(asked)
        for column in columns.values():
            assert column.shape == (len(few),)
            assert not np.isnan(column.astype(np.float64)).any()

    def test_scenes_are_valid(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """Every scene passes `check`, is the one asked for, and has the window asked for."""
        for scenario in chosen:
            scene = source.load(scenario, window)
            scene.check()
            assert (scene.id, scene.window) == (scenario, window)
            assert scene.times_us[scene.present] == scenario.start_us
            assert (np.diff(scene.times_us) > 0).all()

    def test_missing_values_are_masked(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """Cells that are not valid hold zeros; tracks are seen at least once, those of the present frame first."""
        for scenario in chosen:
            tracks = source.load(scenario, window).tracks
            for name in ("position", "heading", "velocity", "size"):
                assert not getattr(tracks, name)[~tracks.valid].any(), name
            assert tracks.valid.any(axis=1).all()
            now = tracks.valid[:, window.history_steps]
            assert (np.diff(now.astype(int)) <= 0).all()
            assert np.isin(tracks.category, MOVING).all()
            assert len(set(tracks.token.tolist())) == len(tracks.token)

    def test_lights_are_in_order(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """Statements about lights stand by step, inside the window."""
        for scenario in chosen:
            step = source.load(scenario, window).lights.step
            assert (np.diff(step) >= 0).all()
            assert ((step >= 0) & (step < window.steps)).all()

    def test_loading_is_pure(
        self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window, recipe: Recipe
    ) -> None:
        """A scene is the same when loaded again, after others, and by a source made anew."""
        first = [source.load(scenario, window) for scenario in chosen]
        again = [source.load(scenario, window) for scenario in reversed(chosen)][::-1]
        assert_same(first, again)
        assert_same(first[-1], recipe().load(chosen[-1], window))

    def test_loading_many_is_loading_one_by_one(self, source: ScenarioSource, listing: Listing, window: Window) -> None:
        """Scenarios of one log come in the order asked for, the same as one by one, with errors in place."""
        log = listing.logs.text(0)
        ids = [one for one in listing.ids() if one.log == log]
        asked = [*ids[: self.picked][::-1], ScenarioId(log, "no-such-token", 1)]
        came = list(source.load_many(asked, window))
        assert len(came) == len(asked)
        assert isinstance(came[-1], SampleError)
        for scenario, scene in zip(asked[:-1], came, strict=False):
            assert_same(scene, source.load(scenario, window))

    def test_narrow_window(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """A part of a scene is the same whether cut out or loaded; only tracks unseen at present may stand in another order."""
        narrow = Window(history_s=window.history_s / 2, future_s=window.future_s / 2, interval_s=window.interval_s)
        for scenario in chosen:
            cut, loaded = source.load(scenario, window).narrow(narrow), source.load(scenario, narrow)
            assert_same(_in_token_order(cut), _in_token_order(loaded))

    def test_short_recordings(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """A window beyond the recording gives a scene of full length, whose lacking steps are not valid."""
        long = Window(history_s=_LONG_S, future_s=_LONG_S, interval_s=window.interval_s)
        scene = source.load(chosen[0], long)
        scene.check()
        assert not scene.ego.valid.all()

    def test_unknown_scenarios_are_sample_errors(
        self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window
    ) -> None:
        """A log or a frame that is not there is a `SampleError`, so that a run goes on."""
        known = chosen[0]
        for unknown in (ScenarioId("no-such-log", known.token, known.start_us), ScenarioId(known.log, "no-such-token", 1)):
            with pytest.raises(SampleError):
                source.load(unknown, window)

    def test_pickled(self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window) -> None:
        """Source and scenes survive pickling, and the source then opens its files anew."""
        scene = source.load(chosen[0], window)
        copy: ScenarioSource = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own bytes
        assert_same(copy.load(chosen[0], window), scene)
        assert_same(pickle.loads(pickle.dumps(scene)), scene)  # noqa: S301 -- our own bytes

    def test_works_in_a_worker_process(
        self, source: ScenarioSource, chosen: Sequence[ScenarioId], window: Window, recipe: Recipe
    ) -> None:
        """A source made in another process gives the same scene."""
        assert_same(elsewhere(_load, recipe, chosen[0], window), source.load(chosen[0], window))

    def test_identity(self, source: ScenarioSource, recipe: Recipe) -> None:
        """It says what it is, the same when made anew, with names instead of folders."""
        identity = source.identity()
        assert identity == recipe().identity()
        assert identity.reader
        assert identity.dataset
        assert all(not name.startswith("/") and size >= 0 for name, size in identity.dataset.items())


def _narrowed(wanted: ScenarioFilter, fields: Mapping[str, Any]) -> ScenarioFilter:
    return attrs.evolve(wanted, **fields)


def _load(recipe: Recipe, scenario: ScenarioId, window: Window) -> Scene:
    loaded: Scene = recipe().load(scenario, window)
    return loaded


def _in_token_order(scene: Scene) -> Scene:
    order = np.argsort(scene.tracks.token)
    arrays = attrs.asdict(scene.tracks, recurse=False)
    rows = {name: np.asarray(value)[order] for name, value in arrays.items()}
    rows["token"] = rows["token"].astype("S64")
    rows.pop("category")  # of a track that is not there at present: as it was first seen
    return attrs.evolve(scene, tracks=attrs.evolve(scene.tracks, **rows))
