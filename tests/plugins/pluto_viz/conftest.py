"""Two runs with plans, made without training: a small recording, the real cache, plans that are the truth with an error."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest

from pluto_core import api
from pluto_core.cli.main import outcome
from pluto_core.jobs import Evaluated
from pluto_core.plan import Plan, Truth
from pluto_core.run import evaluation, folders

EXPERIMENT = """
name = "small"
steps = ["cache", "validate"]
output_dir = "{folder}/runs"

[source]
use = "av2"
data_root = "{folder}/recordings"
stride = 2

[splitter]
use = "by_log"
train = 0.0
val = 1.0
test = 0.0

[[features]]
use = "pluto"
radius = 60.0
require_reference_line = false

[model]
use = "pluto"
"""
CURVES = [
    {"epoch": float(epoch), "train/loss": 9.0 / (epoch + 1), "val/loss": 10.0 / (epoch + 1), "lr-AdamW": 1e-3}
    for epoch in range(4)
]


@attrs.frozen
class World:
    """What there is to draw."""

    folder: Path
    experiment: Path
    cache: Path
    run: Path
    other: Path
    """A run with plans twice as wrong."""


def evaluated(scenarios: api.Scenarios, error_m: float) -> list[Evaluated]:
    """Return plans that end `error_m` times one, two, three metres beside the truth, with a second mode further off."""
    batches = []
    for row in range(len(scenarios)):
        sample = scenarios.sample(row)
        truth = Truth(trajectory=sample["truth/trajectory"][None].astype(np.float64), valid=sample["truth/valid"][None])
        modes = np.repeat(truth.trajectory[:, None], 2, axis=1)
        away = np.linspace(0, 1, modes.shape[2]) * error_m * (1 + row)
        modes[0, 0, :, 1] += away
        modes[0, 1, :, 1] -= 3 * away
        plan = Plan(trajectories=modes, probabilities=np.array([[0.7, 0.3]]))
        speed = np.asarray([sample["truth/speed"]], np.float64)
        batches.append(
            Evaluated(
                ids=(scenarios.listing.id(row),), plan=plan, truth=truth, speed_mps=speed,
                acceleration_mps2=np.zeros(1), losses={"loss": error_m},
            )
        )  # fmt: skip
    return batches


def leave_run(experiment: api.Experiment, number: str, error_m: float) -> None:
    """Leave the folder of a run as `pluto run` does, with plans of a known error."""
    scenarios = api.scenarios(experiment)
    judged = evaluation.judge(evaluated(scenarios, error_m), 0.1)
    types = [scenarios.listing.types.text(row) for row in range(len(scenarios))]
    path = experiment.output_dir / number
    cached = json.loads((experiment.output_dir / "001" / "state.json").read_text())["steps"]["cache"]
    path.mkdir(exist_ok=True)
    (path / "run.toml").write_text(experiment.resolved, encoding="utf-8")
    evaluation.write_predictions(judged, scenarios.workspace.store, path / "predictions", "val")
    evaluation.write_scenarios(judged, None, types, path / "scenarios_val.csv")
    run = folders.Run(path, folders.digest_of(experiment.settings), "finished")
    cached |= {"failed": {"no_reference_line": 3}, "funnel": [["candidates", 40], ["num_scenarios_per_type", 17]]}
    run.steps = {
        "cache": cached,
        "train": {"seconds": 60.0, "epochs": 4, "parameters": 1_000_000, "samples_per_s": 20.0, "curves": CURVES},
        "validate": {"seconds": 2.0, "part": "val", **evaluation.summary(judged, None, types)},
    }
    run.save()
    results = {"name": "small", "seed": 0, "run": str(path), "seconds": 62.0, "versions": {"python": "3"}}
    folders.write_json(path / "results.json", {**results, "machine": {"processor": "P <1>"}, "steps": run.steps})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return an experiment with a cache and two runs, of which the second is worse."""
    folder = tmp_path_factory.mktemp("viz")
    place = Path(__file__).parent.parent / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(folder / "recordings")
    runs = folder / "runs"
    made = World(folder, folder / "small.toml", runs / "cache", runs / "001", runs / "002")
    made.experiment.write_text(EXPERIMENT.format(folder=folder.as_posix()), encoding="utf-8")
    api.run(api.read(made.experiment), only=["cache"])
    leave_run(api.read(made.experiment), "001", 0.3)
    leave_run(api.read(made.experiment, {"seed": 1}), "002", 0.6)
    return made


@pytest.fixture
def pluto_here(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `pluto ARGUMENTS` in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = outcome([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call
