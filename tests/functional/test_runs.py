import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pluto_core.experiment.tomltext import tomllib

BETTER_OR_WORSE = {"ade_top1_m", "fde_top1_m", "miss_top1", "ade_top6_m", "fde_top6_m", "miss_top6"}


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return stored["state_dict"]


def test_run_leaves_everything_that_it_names(small: Path, run, tmp_path: Path) -> None:
    """A run ends with a table and with files: checkpoint, log, run.toml, results, predictions and three pictures."""
    outcome = run(small)
    text = outcome.ok()
    folder = tmp_path / "runs" / "001"
    for word in ("constant velocity", "untrained", "trained"):
        assert word in text
    found = results(folder)
    assert found["status"] == "finished"
    validate = found["steps"]["validate"]
    assert set(validate["metrics"]) == {"planner", "constant_velocity", "constant_acceleration", "untrained"}
    assert all(set(values) >= BETTER_OR_WORSE for values in validate["metrics"].values())
    assert sum(row["count"] for row in validate["by_type"].values()) == validate["count"] > 0
    for path in (path for step in found["steps"].values() for path in step["files"].values()):
        assert (tmp_path / path).exists(), path
    assert len(list((folder / "pictures").glob("*.png"))) == 3
    assert any((folder / "tensorboard").glob("events.*"))
    assert tomllib.loads((folder / "run.toml").read_text())["name"] == "small"


@pytest.mark.slow
def test_a_repeated_run_recomputes_nothing_and_learns_the_same(small: Path, run, tmp_path: Path) -> None:
    """`pluto run runs/001/run.toml` makes run 002 from the same cache, says so, and ends with equal weights."""
    steps = ("--set", 'steps=["cache", "train"]', "--set", "trainer.epochs=1")
    run(small, *steps).ok()
    again = run(tmp_path / "runs" / "001" / "run.toml", cwd=tmp_path)
    assert "nothing recomputed" in again.ok()
    first, repeated = (weights(tmp_path / "runs" / number) for number in ("001", "002"))
    assert all(torch.equal(first[name], repeated[name]) for name in first)


@pytest.mark.slow
def test_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    small: Path, run, tmp_path: Path, cache_home: Path
) -> None:
    """SIGKILL between two epochs and the same command again give, bit for bit, what one go gives."""
    epochs = ("--set", "trainer.epochs=3")
    run(small, *epochs, "--only", "cache,train", "--out", tmp_path / "calm").ok()
    command = [
        sys.executable,
        "-m",
        "pluto_core.cli.main",
        "run",
        str(small),
        *epochs,
        "--only",
        "cache,train",
        "--out",
        "wild",
    ]
    env = {**os.environ, "PLUTO_CACHE_HOME": str(cache_home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = tmp_path / "wild" / "001" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 90
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists(), "training did not reach the end of its first epoch"
    outcome = run(small, *epochs, "--only", "cache,train", "--out", "wild", cwd=tmp_path)
    outcome.ok()
    assert "goes on" in outcome.err
    calm, wild = weights(tmp_path / "calm" / "001"), weights(tmp_path / "wild" / "001")
    assert all(torch.equal(calm[name], wild[name]) for name in calm)


def test_training_from_the_cache_alone_needs_no_dataset(small: Path, run, tmp_path: Path) -> None:
    """Once cached, `cache.only` trains with the source gone; a filter that the cache cannot answer is refused."""
    run(small, "--only", "cache").ok()
    gone = (
        "--set",
        "source.data_root=/nowhere",
        "--set",
        "cache.only=true",
        "--set",
        'steps=["train"]',
        "--set",
        "trainer.epochs=1",
    )
    run(small, *gone, cwd=tmp_path).ok()
    refused = run(small, *gone, "--set", "filter.ego_displacement_minimum_m=3.0", cwd=tmp_path)
    assert refused.code == 1
    assert "ego_displacement_minimum_m" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("case", ["missing", "empty", "not_sqlite", "no_map"])
def test_bad_data_is_one_message_with_path_and_setting(case: str, small: Path, run, town: Path, tmp_path: Path) -> None:
    """A missing or empty folder, a .db that is none, a missing map: one line that names path and setting, exit code 1."""
    root = tmp_path / "bad"
    settings = ["--set", f"source.data_root={root}"]
    if case != "missing":
        root.mkdir()
    if case == "not_sqlite":
        (root / "2021.05.12.22.00.38_veh-35_01008_01518.db").write_bytes(b"this is no database" * 100)
        settings += ["--set", f"source.map_root={town / 'maps'}"]
    if case == "no_map":
        settings = ["--set", f"source.map_root={root}"]
    outcome = run(small, *settings)
    assert outcome.code == 1
    assert str(root) in outcome.err
    assert ("source.map_root" if case == "no_map" else "source.data_root") in outcome.err
    assert "Traceback" not in outcome.err
    assert len([line for line in outcome.err.splitlines() if line.startswith("error: ")]) == 1


def test_an_empty_part_is_told_before_anything_is_computed(small: Path, run, tmp_path: Path) -> None:
    """A step without scenarios ends the run at the listing: one message with all sizes, and no sample was made."""
    outcome = run(small, "--set", 'splitter.use="one_part"', "--set", 'splitter.part="val"')
    assert outcome.code == 1
    assert "the part 'train' is empty (train 0, val " in outcome.err
    assert "Traceback" not in outcome.err
    assert "computed" not in outcome.out
    assert not list((tmp_path / "runs").rglob("*.lmdb"))
