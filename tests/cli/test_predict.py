"""`pluto predict`: plans of a trained planner for scenarios by name."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pluto_core import api
from pluto_core.cli import main
from pluto_core.errors import Reason, SampleError
from pluto_core.experiment import read
from pluto_core.jobs import Evaluated
from pluto_core.listing import Listing
from pluto_core.plan import Forecast, Plan, Truth
from pluto_core.run import checkpoints, named
from pluto_core.run.folders import existing
from pluto_core.run.predicting import Predictions
from pluto_core.scene import ScenarioId

EXPERIMENT = """
name = "small"
steps = ["cache", "train"]
plugins = ["pluto_core.testing.plugin"]
output_dir = "runs"

[source]
use = "fake"
logs = 6
scenarios = 4

[filter]
num_scenarios_per_type = 8

[splitter]
use = "by_log"
train = 0.5
val = 0.5
test = 0.0
salt = "2"

[model]
use = "ego_mlp"
width = 8

[trainer]
epochs = 2
accelerator = "cpu"

[loader]
batch_size = 4
eval_batch_size = 2
test_fraction = 0.5
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with an experiment, its cache and its run."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("predict")
    (folder / "small.toml").write_text(EXPERIMENT, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PLUTO_CACHE_HOME", str(folder / "home"))
            patch.setenv("PLUTO_WITHOUT", "av2,nuplan,planner,viz,augment,devkit,ray")
            assert main.outcome(["run", "small.toml", "--no-progress"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def say(trained, monkeypatch, capsys):
    """Return a function that runs `pluto ARGUMENTS` there and returns exit code, output and messages."""
    monkeypatch.chdir(trained)
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(trained / "home"))
    monkeypatch.setenv("PLUTO_WITHOUT", "av2,nuplan,planner,viz,augment,devkit,ray")

    def run(*arguments):
        capsys.readouterr()
        code = main.outcome([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def asked(tokens):
    """Return the options that name scenarios."""
    return [part for token in tokens for part in ("--scenario", token)]


@pytest.fixture
def tokens(say):
    """Return five tokens, the first ones not those that the filter takes."""
    every = say("scenarios", "small.toml", "--set", "filter.num_scenarios_per_type=100", "--csv", "-")[1].split()[1:]
    taken = [line.split(",")[0] for line in say("scenarios", "small.toml", "--csv", "-")[1].split()[1:]]
    others = [token for token in (line.split(",")[0] for line in every) if token not in taken]
    assert len(others) >= 2
    return [*others[:2], *taken[:3]]


def test_plans_come_in_the_order_asked_for_wherever_samples_are(say, tokens, trained):
    """Scenarios in the cache and outside of the filter are planned alike, and computing all of them anew changes nothing."""
    code, out, err = say("predict", "small.toml", *asked(tokens))
    assert code == 0, err
    found = json.loads(out)
    assert [one["token"] for one in found["scenarios"]] == tokens
    assert api.predict(api.read("small.toml"), tokens).as_json() == found
    for one in found["scenarios"]:
        assert len(one["trajectories"]) == len(one["probabilities"]) == 6
        assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-3)
        assert one["errors"]["fde_top1_m"] >= 0
    shutil.move(trained / "runs" / "cache", trained / "away")
    try:
        code, again, _ = say("predict", "small.toml", *asked(tokens))
        assert not (trained / "runs" / "cache").exists()
    finally:
        shutil.move(trained / "away", trained / "runs" / "cache")
    assert code == 0
    assert json.loads(again) == found


def test_arrays_hold_what_the_text_holds(say, tokens, tmp_path):
    """Both kinds of file have the same numbers; the ending decides, and another one is refused."""
    for target in (tmp_path / "plans.npz", tmp_path / "plans.json"):
        assert say("predict", "small.toml", *asked(tokens), "--to", target)[0] == 0
    told = json.loads((tmp_path / "plans.json").read_text())["scenarios"]
    with np.load(tmp_path / "plans.npz") as arrays:
        assert arrays["token"].tolist() == tokens
        np.testing.assert_allclose(arrays["trajectories"], [one["trajectories"] for one in told], atol=1e-4)
        np.testing.assert_allclose(arrays["probabilities"], [one["probabilities"] for one in told], atol=1e-4)
    code, _, err = say("predict", "small.toml", *asked(tokens), "--to", "plans.csv")
    assert code == 1
    assert "must end with .json or .npz" in err


def test_the_cache_alone_is_enough(say, tokens):
    """Without a source stored scenarios are planned, and others are named."""
    alone = ("--set", "cache.only=true")
    assert say("predict", "small.toml", *alone, *asked(tokens[2:]))[0] == 0
    code, _, err = say("predict", "small.toml", *alone, *asked(tokens))
    assert code == 1
    assert f"the cache has no scenario {tokens[0]}, {tokens[1]}" in err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--scenario", "nobody"), "the dataset has no scenario nobody"),
        (("--scenario", "nobody", "--checkpoint", "none.ckpt"), "there is no checkpoint none.ckpt"),
        (("--scenario", "nobody", "--set", "output_dir=elsewhere"), "no run in elsewhere has a checkpoint"),
    ],
)
def test_what_is_not_there_is_named(say, options, text):
    """One line says what is missing."""
    code, _, err = say("predict", "small.toml", *options)
    assert code == 1
    assert text in err


def test_which_checkpoint_is_meant(trained, monkeypatch):
    """`best` and `last` are those of the newest run of the same settings, else of any; a path is itself."""
    monkeypatch.chdir(trained)
    monkeypatch.setenv("PLUTO_WITHOUT", "av2,nuplan,planner,viz,augment,devkit,ray")
    run = existing(Path("runs"))[-1]
    other = read(Path("small.toml"), settings=["loader.batch_size=2"])
    best, last = (checkpoints.find(other, name) for name in ("best", "last"))
    assert (best, last) == (checkpoints.of_run(run, "best"), checkpoints.of_run(run, "last"))
    assert best.name.startswith("epoch=")
    assert last.name == "last.ckpt"
    assert checkpoints.find(other, str(last)) == last


def test_scenarios_that_give_no_sample_are_told():
    """What was wrong with them is kept beside the samples of the others."""
    ids = [ScenarioId("log", f"{number:016x}", 0) for number in range(3)]

    def get(one):
        if one == ids[1]:
            raise SampleError(Reason.NO_REFERENCE_LINE, "no lane")
        return {"x": np.zeros(1)}

    found = named._gathered(Listing.of([(one, "type", "map") for one in ids]), get)
    assert [one.token for one in found.listing.ids()] == [ids[0].token, ids[2].token]
    assert found.failed == (f"scenario {ids[1].token} gives no sample: no_reference_line: no lane",)
    assert found.known == {one.token for one in ids}


def evaluated(number, modes, agents):
    """Return one scenario planned with so many modes and agents, the last of each of which does not exist."""
    probabilities = np.full((1, modes), 1.0 / (modes - 1))
    probabilities[:, -1] = 0.0
    exists = np.ones((1, agents), np.bool_)
    exists[:, -1] = False
    ways = np.full((1, agents, 2, 3), float(number))
    forecast = Forecast(trajectories=ways, exists=exists, recorded=ways, known=np.repeat(exists[..., None], 2, axis=2))
    return Evaluated(
        ids=(ScenarioId("log", f"{number:016x}", 7),),
        plan=Plan(trajectories=np.zeros((1, modes, 2, 3)), probabilities=probabilities, forecast=forecast),
        truth=Truth(trajectory=np.zeros((1, 2, 3)), valid=np.asarray([[True, False]])),
        speed_mps=np.zeros(1),
        acceleration_mps2=np.zeros(1),
        losses={},
    )


def test_agents_stand_beside_the_plan():
    """Text holds what exists, arrays are padded, and errors that are not known are left out."""
    batches = (evaluated(1, 3, 2), evaluated(2, 5, 4))
    listing = Listing.of([(batch.ids[0], "turning", "town") for batch in batches])
    found = Predictions(name="small", checkpoint=Path("a.ckpt"), interval_s=0.1, listing=listing, found=batches)
    first, second = found.as_json()["scenarios"]
    assert (len(first["probabilities"]), len(second["probabilities"])) == (2, 4)
    assert first["agents"] == [[[1.0, 1.0, 1.0]] * 2]
    assert len(second["agents"]) == 3
    assert first["errors"]["prediction_fde_m"] == 0
    assert "fde_top1_m" not in first["errors"]
    assert (first["type"], first["map"], first["start_us"]) == ("turning", "town", 7)
    arrays = found.arrays()
    assert arrays["trajectories"].shape == (2, 5, 2, 3)
    assert arrays["agents"].shape == (2, 4, 2, 3)
    assert arrays["agents_exist"].tolist() == [[True, False, False, False], [True, True, True, False]]
