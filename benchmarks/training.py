"""What the trainer costs: samples a second of the whole loop, waiting for data, and time over the bare step.

The bare step is what nobody can leave out: forward, losses, backward, clipping, AdamW, on batches that lie in memory. The
trainer takes the same batches from the cache and does all it does: loading, curves, checks for NaN, the schedule, a log, a
checkpoint at the end of its epoch. Both are measured in turn, in one process, several rounds after one that does not count;
medians are printed, and the spread of the rounds. The overhead is the median of what the rounds say one by one, for the machine
changes between rounds: it is not what the two medians beside it would give. A step of the trainer is without the waiting for
data, which stands by itself. The samples are those of a synthetic town that the program writes.

    python benchmarks/training.py
    python benchmarks/training.py --batch-size 32 --set model.dim=128 --set model.encoder_depth=4 --set model.decoder_depth=4
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pluto_core.experiment import Experiment, read
from pluto_core.jobs import TrainingJob
from pluto_core.run.assembly import training_job
from pluto_core.run.workspace import Workspace
from pluto_lightning.batches import TensorBatch, as_tensors

EXPERIMENT = """
name = "training"
steps = ["cache", "train"]

[source]
use = "nuplan"
[source.synthetic]
logs = 12

[filter]
num_scenarios_per_type = 60
timestamp_threshold_s = 0.4

[splitter]
use = "one_part"
part = "train"

[model]
use = "pluto"
dim = 64
encoder_depth = 2
decoder_depth = 2
num_modes = 6

[trainer]
use = "lightning"
epochs = 1
accelerator = "cpu"
summary_depth = 0
log_every = 10

[loader]
shuffle = false
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[8, 32])
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1], help="processes that load")
    parser.add_argument("--samples", type=int, default=480, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="where data and cache are written; a temporary folder where it is not said")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as behind `pluto run --set`")
    options = parser.parse_args()
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.rounds} rounds of {options.samples} samples\n"
    )
    columns = ("samples a batch", "loading processes", "bare step, ms", "step of the trainer, ms", "overhead, by round")
    print(f"| {' | '.join((*columns, 'waiting', 'samples/s'))} |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as spare:
        work = (options.work or Path(spare)).resolve()
        os.environ.setdefault("PLUTO_CACHE_HOME", str(work / "home"))
        work.mkdir(parents=True, exist_ok=True)
        (work / "training.toml").write_text(EXPERIMENT, encoding="utf-8")
        for size in options.batch_size:
            for workers in options.workers:
                count = max(1, options.samples // size)
                own = [f"loader.batch_size={size}", f"loader.workers={workers}", f"loader.limit_train_batches={count}"]
                own += [f'output_dir="{work}"']
                _row(read(work / "training.toml", settings=[*own, *options.set]), work, options.rounds)


def _row(experiment: Experiment, work: Path, rounds: int) -> None:
    workspace = Workspace(experiment, lambda _text: None)
    workspace.cache(lambda _state: None)
    source = workspace.batches("train")
    held = [_copied(as_tensors(batch)) for batch in source.batches(0)]
    bare, whole, waiting, rate = [], [], [], []
    for number in range(rounds + 1):
        run = Path(tempfile.mkdtemp(dir=work))  # a folder that was used goes on with its training
        job = training_job(workspace, run, {"train": source}, interactive=False)
        step_s = _bare(job, held)
        with contextlib.redirect_stdout(io.StringIO()):
            numbers = experiment.make("trainer", workspace.context(run_dir=run)).fit(job).numbers
        if number:
            seconds = sum(batch.size for batch in held) / numbers["samples_per_s"]
            bare.append(step_s)
            waiting.append(numbers["share_waiting"])
            whole.append(seconds * (1 - numbers["share_waiting"]) / len(held))
            rate.append(numbers["samples_per_s"])
    workspace.release()
    over = [own / step - 1 for own, step in zip(whole, bare, strict=True)]
    loader = experiment.loader
    print(
        f"| {loader.batch_size} | {loader.workers} | {_told(bare, 1e3)} | {_told(whole, 1e3)} | {_told(over, 100)} % "
        f"| {_told(waiting, 100)} % | {_told(rate, 1)} |",
        flush=True,
    )


def _bare(job: TrainingJob, batches: Sequence[TensorBatch]) -> float:
    """Return the seconds of a step."""
    torch.manual_seed(job.seed)
    model = job.make_model()
    objective = job.make_objective(model)
    optimizer = job.make_optimizer()(model, batch_size=batches[0].size)
    model.train()
    began = time.perf_counter()
    for batch in batches:
        terms = objective(model(batch.tensors), batch.tensors, training=True)
        optimizer.zero_grad()
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return (time.perf_counter() - began) / len(batches)


def _copied(batch: TensorBatch) -> TensorBatch:
    def copied(tree: Any) -> Any:
        return {key: copied(value) for key, value in tree.items()} if isinstance(tree, dict) else tree.clone()

    return TensorBatch(copied(batch.tensors), batch.ids, batch.rows)


def _told(values: Sequence[float], unit: float) -> str:
    scaled = [value * unit for value in values]
    return f"{statistics.median(scaled):.1f} ({min(scaled):.1f}..{max(scaled):.1f})"


if __name__ == "__main__":
    main()
