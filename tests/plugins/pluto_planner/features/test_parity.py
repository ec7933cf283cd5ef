"""Parity with the recorded outputs of the reference, key by key (spec pluto-features; D-15 for interaction labels)."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest

from pluto_core.errors import Reason, SampleError
from pluto_core.scene import ScenarioId
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

WORLDS = ("town", "tilted")
TOLERANCE = 2e-4
MASK_OF = {"agent": "agent/valid_mask", "reference_line": "reference_line/valid_mask"}
UNMASKED = {
    "agent/category",
    "agent/valid_mask",
    "agent/target",
    "reference_line/valid_mask",
    "reference_line/future_projection",
}

Sample = dict[str, np.ndarray]


@attrs.define
class Report:
    """Largest error and share of equal numbers by key, over all scenarios."""

    error: dict[str, float] = attrs.field(factory=lambda: defaultdict(float))
    equal: dict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))
    valid: int = 0
    refused: int = 0

    def add(self, key: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Take one array of one scenario."""
        assert ours.shape == theirs.shape, key
        difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
        around = key.endswith("orientation")  # numpy 1 rounds one angle to pi, numpy 2 to -pi
        apart = np.abs(np.minimum(difference, 2 * np.pi - difference)) if around else difference
        self.error[key] = max(self.error[key], float(apart.max(initial=0.0)))
        self.equal[key].append(float((difference == 0).mean()) if difference.size else 1.0)

    def __str__(self) -> str:
        """Return the table."""
        rows = [f"{key:45} {self.error[key]:10.2e} {np.mean(self.equal[key]):9.5f}" for key in sorted(self.error)]
        head = f"{self.valid} scenarios equal, {self.refused} refused\n{'key':45} {'max error':>10} {'equal':>9}"
        return "\n".join([head, *rows])


def _scenarios(folder: Path) -> Iterator[tuple[dict, Sample]]:
    for scenario in json.loads((folder / "features" / "index.json").read_text())["scenarios"]:
        if scenario["status"] != "ok":
            continue
        with np.load(folder / "features" / f"{scenario['token']}.npz") as arrays:
            yield scenario, {key: arrays[key] for key in arrays}


def _static_rows(sample: Sample) -> np.ndarray:
    """Return static objects as rows in an order that does not depend on theirs."""
    columns = [sample[f"static_objects/{name}"] for name in ("category", "position", "heading", "shape")]
    rows = np.column_stack(columns).astype(np.float32).astype(np.float64)
    return rows[np.lexsort(rows.round(2).T[::-1])]


def _comparable(key: str, array: np.ndarray, golden: Sample, steps: int) -> np.ndarray:
    """Return the cells that mean something: the recorded ones, where the masks hold."""
    if key == "causal/free_path_points":
        return array.reshape(-1, 3)
    if key == "causal/fixed_ego_future_valid_mask":
        return array[: steps - 21]
    group = key.split("/", maxsplit=1)[0]
    if group == "agent" and key != "agent/category":
        array = array[:, : steps - 21] if key == "agent/target" else array[:, :steps]
    if group in MASK_OF and key not in UNMASKED:
        return array[golden[MASK_OF[group]]]
    return array


def _compare(report: Report, ours: Sample, golden: Sample) -> None:
    # Where the log ends, the reference's future is shorter (D-1); ours is filled up with invalid steps.
    steps = golden["agent/position"].shape[1]
    assert not ours["agent/valid_mask"][:, steps:].any()
    report.add("static_objects (as sets)", _static_rows(ours), _static_rows(golden))
    for key, theirs in golden.items():
        if not key.startswith("static_objects/"):
            cast = theirs.astype(ours[key].dtype)
            report.add(key, _comparable(key, ours[key], golden, steps), _comparable(key, cast, golden, steps))
    label, theirs = ours["causal/interaction_label"], golden["causal/interaction_label"]
    assert (np.sign(label) == np.sign(theirs)).all()


@pytest.fixture(scope="module")
def report(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return the comparison over every recorded scenario."""
    builder = PlutoFeatures(PlutoFeaturesConfig(parity=True))
    found = Report()
    cache_home = tmp_path_factory.mktemp("maps")
    for world in WORLDS:
        folder = shared_data / "golden" / world
        config = NuPlanConfig(data_root=str(folder / "nuplan-v1.1"), map_root=str(folder / "maps"))
        source = NuPlanSource(config, cache_home=cache_home)
        for scenario, golden in _scenarios(folder):
            identity = ScenarioId(scenario["log_name"], scenario["token"], scenario["timestamp_us"])
            scene = source.load(identity, builder.window)
            if not scenario["is_valid"]:
                with pytest.raises(SampleError) as refused:
                    builder.build(scene)
                assert refused.value.reason in {Reason.NO_REFERENCE_LINE, Reason.NO_ROUTE}
                found.refused += 1
                continue
            ours = builder.build(scene)
            assert set(golden) <= set(ours) <= set(golden) | {"cost_maps"}
            _compare(found, ours, golden)
            found.valid += 1
    print(found)  # noqa: T201 -- `pytest -s` shows the report
    return found


def test_every_recorded_scenario_is_compared(report: Report) -> None:
    """The 91 valid scenarios are built, the 8 without a reference line are refused."""
    assert (report.valid, report.refused) == (91, 8)


def test_numbers_are_the_references(report: Report) -> None:
    """Every array but cost maps and labels is within 2e-4 of the recorded one."""
    apart = {key for key, error in report.error.items() if error > TOLERANCE}
    assert apart <= {"causal/interaction_label", "cost_maps"}, str(report)


def test_cost_maps_are_the_references(report: Report) -> None:
    """At least 99.9 % of the cells of every cost map are equal in float16."""
    assert len(report.equal["cost_maps"]) == 22
    assert min(report.equal["cost_maps"]) >= 0.999


def test_interaction_labels_are_the_references(report: Report) -> None:
    """At least 99 % of the labels are equal; the signs were compared with every sample."""
    assert np.mean(report.equal["causal/interaction_label"]) >= 0.99
