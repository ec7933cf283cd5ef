"""Whether it learns: on a synthetic town, by heart, and on recordings of Argoverse 2; figures as markdown, curves as pictures.

Everything goes through experiments, as a user would run them. `town`: a small PLUTO and `ego_mlp` on about 2 000 scenarios, as
many epochs as fit into `--minutes` on this machine (measured first); judged on other drives of the town, and on another town of
another seed. `heart`: 64 of the training scenarios over and over. `av2`: each log of a folder of sensor logs in turn is judged
by a planner that was trained on the others. Everything lies in `--work`, where a second call finds data and caches.

    python benchmarks/learning.py town heart --minutes 15 --pictures docs/pictures
    python benchmarks/learning.py av2 --data ../shared/data/av2/sensor --pictures docs/pictures
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pluto_core import api

mpl.use("agg")

# Why these settings: reference lines give where (the best one passes the driver's end at 0.2 m), so that the error is how far.
# Many drives with few scenarios each teach more than few drives with many; one mode a line, because telling modes of 20 m apart
# takes longer than 15 minutes; the ego token beside each query. The collision loss is all but off: it averages over the discs
# that touch something, so that one disc outweighs hundreds of imitated poses, and plans that still have to find the way round a
# corner get caught before it. Rates are higher than published, because steps are few: for the last layers of the heads, which
# begin at a metre and have to reach a hundred, and for the ego state, which begins small beside the embedding of its place.
NAMES = {
    "planner": "trained",
    "untrained": "the same, untrained",
    "constant_velocity": "constant velocity",
    "constant_acceleration": "constant acceleration",
}
TOWN = """
[source]
use = "nuplan"
[source.synthetic]
logs = {logs}
seconds = 36.0
density = 0.7
grid = [4, 4]

[filter]
num_scenarios_per_type = 360
timestamp_threshold_s = 1.0
remove_invalid_goals = true

[splitter]
use = "nuplan_logs"
"""
PLUTO = """
[[features]]
use = "pluto"
radius = 60.0
max_agents = 16

[model]
use = "pluto"
dim = 64
encoder_depth = 2
decoder_depth = 2
num_modes = 1
drop_path = 0.1
state_dropout = 0.0
cat_x = true
ref_free_traj = true

[objective]
use = "pluto"
[objective.weights]
collision_loss = 0.02

[optimizer]
use = "adamw"
lr = 2e-3
betas = [0.8, 0.95]
[optimizer.lr_factors]
"*loc_*.mlp.3.*" = 60.0
"*vel_*.mlp.3.*" = 15.0
"ref_free_decoder.mlp.3.*" = 60.0
"agent_encoder.ego_state_emb.*" = 5.0

[schedule]
use = "warmup_cosine"
warmup_epochs = 1
interval = "step"

[loader]
batch_size = 8
eval_batch_size = 32
"""
EGO_MLP = """
[[features]]
use = "ego_history"

[model]
use = "ego_mlp"

[optimizer]
use = "adamw"
lr = 3e-3

[schedule]
use = "warmup_cosine"
warmup_epochs = 1
interval = "step"

[loader]
batch_size = 32
eval_batch_size = 256
"""
TRAINER = """
[trainer]
use = "lightning"
accelerator = "cpu"
save_top_k = 1
monitor = "val/fde_top1_m"
summary_depth = 0
"""


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["town", "heart", "av2", []], help="all but av2 where none is named")
    parser.add_argument("--minutes", type=float, default=15.0, help="of each training of the small PLUTO")
    parser.add_argument("--data", type=Path, help="folder of Argoverse 2 sensor logs, for av2")
    parser.add_argument("--epochs", type=int, default=20, help="of each training of av2")
    parser.add_argument("--logs", type=int, default=270, help="drives of the town; two thirds of them are trained on")
    parser.add_argument("--work", type=Path, help="where everything is written; a temporary folder where it is not said")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the curves")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for PLUTO's experiments, as text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        work = (options.work or Path(spare)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("PLUTO_CACHE_HOME", str(work / "home"))
        lab = Lab(work, options.pictures, dict(each.split("=", 1) for each in options.set), options.logs)
        for part in options.parts or ["town", "heart"]:
            if part == "town":
                town(lab, options.minutes)
            elif part == "heart":
                heart(lab, options.minutes)
            else:
                av2(lab, options.data, options.epochs)


class Lab:
    """Where experiments are written and run."""

    def __init__(self, work: Path, pictures: Path | None, extra: Mapping[str, str], logs: int) -> None:
        """Remember where to write, and how many drives there are."""
        self.work, self.pictures, self.extra, self.logs = work, pictures, extra, logs

    def run(self, name: str, text: str, settings: Mapping[str, Any], checkpoint: str | None = None) -> dict[str, Any]:
        """Do an experiment and return its results; with a checkpoint only judge that."""
        path = self.work / f"{name}.toml"
        path.write_text(text.replace("{logs}", str(self.logs)), encoding="utf-8")
        given = {"cache.path": self.work / f"{name}-cache", **settings, "output_dir": self.work / name}
        given |= {key: _value(value) for key, value in self.extra.items()} if PLUTO in text else {}
        experiment = api.read(path, given)
        if checkpoint is not None:
            return dict(api.run(experiment, checkpoint=checkpoint).results)
        return dict(api.run(experiment).results)

    def draw(
        self,
        name: str,
        title: str,
        curves: Mapping[str, list[tuple[float, float]]],
        levels: Mapping[str, float],
        *,
        logarithmic: bool = False,
    ) -> None:
        """Save curves over epochs, with levels that do not change, where pictures are wanted."""
        if self.pictures is None:
            return
        figure, axes = plt.subplots(figsize=(7, 4), dpi=110, layout="constrained")
        for label, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=label)
        for color, (label, level) in zip(("0.35", "0.6"), levels.items(), strict=False):
            axes.axhline(level, color=color, linestyle="--", linewidth=1, label=f"{label}: {level:.1f}")
        axes.set(title=title, xlabel="epoch", ylabel="m")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        else:
            axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        axes.legend(framealpha=1.0, fontsize="small")
        self.pictures.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.pictures / f"{name}.png")
        plt.close(figure)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def town(lab: Lab, minutes: float) -> None:
    """Train PLUTO and `ego_mlp` on one town, judge them there and in another one."""
    steps = 'steps = ["cache", "train", "validate"]\n'
    pluto, cache = steps + TOWN + PLUTO + TRAINER, {"cache.path": lab.work / "town-cache"}
    speed = lab.run("speed", pluto, {**cache, "trainer.epochs": 1, "loader.limit_train_batches": 150})["steps"]["train"]
    samples = speed["scenarios"]["train"]
    epochs = max(2, int(60 * minutes * speed["samples_per_s"] * 0.93 / samples))
    print(f"\n{samples} training scenarios, {speed['samples_per_s']:.0f} samples/s: {epochs} epochs in {minutes:g} minutes\n")
    long = {"trainer.epochs": epochs, "trainer.validate_every": max(1, epochs // 8)}
    trained = lab.run("town", pluto, {**cache, **long})
    blind = lab.run("town_ego", steps + TOWN + EGO_MLP + TRAINER, long)
    table("other drives of the same town", trained, {"ego_mlp": blind})
    away = {name: _away(lab, name, text, done) for name, text, done in (("town", PLUTO, trained), ("town_ego", EGO_MLP, blind))}
    table("another town", away["town"], {"ego_mlp": away["town_ego"]})
    level = trained["steps"]["validate"]["metrics"]["constant_velocity"]["fde_top1_m"]
    curves = {"small PLUTO, top-1": curve(trained), "small PLUTO, top-6": curve(trained, "val/fde_top6_m")}
    curves["ego_mlp, top-1"] = curve(blind)
    title = f"FDE at 8 s on other drives, {samples} training scenarios"
    lab.draw("learning_town", title, curves, {"constant velocity": level, "a third of it": level / 3})


def _away(lab: Lab, name: str, text: str, done: Mapping[str, Any]) -> dict[str, Any]:
    """Judge what was trained in one town in another one."""
    scenarios = TOWN.replace("nuplan_logs", "one_part") + 'part = "val"\n'
    best = done["steps"]["train"]["files"]["checkpoint (best)"]
    other = {"source.synthetic.seed": 1, "source.synthetic.logs": max(3, lab.logs // 5)}
    return lab.run(f"{name}_away", 'steps = ["cache", "validate"]\n' + scenarios + text + TRAINER, other, best)


def heart(lab: Lab, minutes: float) -> None:
    """Learn 64 scenarios by heart."""
    lab.run("heart_cache", 'steps = ["cache"]\n' + TOWN + PLUTO + TRAINER, {"cache.path": lab.work / "town-cache"})
    tokens = taught(lab)
    chosen = TOWN.replace('"nuplan_logs"', f'"by_token_list"\ntrain = "{tokens}"')
    text = 'steps = ["cache", "train", "validate"]\n' + chosen + PLUTO + TRAINER
    own = {"cache.path": lab.work / "town-cache", "loader.overfit_samples": 64, "trainer.monitor": "val/fde_top6_m"}
    own |= {
        "model.drop_path": 0.0,
        "model.dropout": 0.0,
        "optimizer.weight_decay": 0.0,
        "objective.weights.prediction_loss": 0.1,
    }
    speed = lab.run("heart_speed", text, {**own, "trainer.epochs": 8})["steps"]["train"]["samples_per_s"]
    epochs = max(10, int(60 * minutes * speed * 0.93 / 64))
    long = {
        "trainer.epochs": epochs,
        "trainer.validate_every": max(1, epochs // 25),
        "schedule.warmup_epochs": max(1, epochs // 33),
    }
    done = lab.run("heart", text, {**own, **long})
    table(f"64 scenarios by heart, {epochs} epochs", done, {})
    curves = {"top-6": curve(done, "val/fde_top6_m"), "top-1": curve(done)}
    title = "FDE at 8 s on the 64 scenarios that it learns"
    lab.draw("learning_heart", title, curves, {"target": 0.3}, logarithmic=True)


def taught(lab: Lab) -> Path:
    """Return a file of the town's scenarios that are taught to their end.

    PLUTO's features cut a driver's future where it crosses a line whose light is red at the start (it turns green meanwhile).
    What comes after is never shown, and cannot be learned by heart.
    """
    reader, path = api.open_cache(lab.work / "town-cache"), lab.work / "taught.csv"
    ids, name = list(reader.listing.ids()), "causal/fixed_ego_future_valid_mask"
    samples = reader.get_many([one.key for one in ids], [name])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([one.token] for one, sample in zip(ids, samples, strict=True) if sample[name].all())
    return path


def av2(lab: Lab, data: Path | None, epochs: int) -> None:
    """Judge each log of a folder by planners that were trained on the others."""
    folder = data or Path(os.environ["PLUTO_TEST_DATA"]) / "av2" / "sensor"
    begin = f'steps = ["cache", "train", "validate"]\n[source]\nuse = "av2"\ndata_root = "{folder.resolve()}"\n'
    lists, curves = token_lists(lab, begin), {}
    # The last weights, not the best ones: with one log to judge by, choosing by it would be choosing the answer.
    settings = {"trainer.epochs": epochs, "trainer.validate_every": max(1, epochs // 10), "checkpoint": "last"}
    for number, log in enumerate(lists):
        others = lab.work / f"others-{number}.csv"
        others.write_text("".join(path.read_text("utf-8") for name, path in lists.items() if name != log), "utf-8")
        text = f'{begin}[splitter]\nuse = "by_token_list"\ntrain = "{others}"\nval = "{lists[log]}"\n'
        done = lab.run(f"av2_{number}", text + PLUTO + TRAINER, {"cache.path": lab.work / "av2-cache", **settings})
        blind = lab.run(f"av2_ego_{number}", text + EGO_MLP + TRAINER, {"cache.path": lab.work / "av2-ego-cache", **settings})
        table(f"Argoverse 2, log {log[:8]} after the others", done, {"ego_mlp": blind})
        curves[f"log {log[:8]}"] = curve(done)
    lab.draw("learning_av2", "Argoverse 2: FDE at 8 s on the log that was left out", curves, {})


def token_lists(lab: Lab, begin: str) -> dict[str, Path]:
    """Return a file of tokens for each log."""
    path = lab.work / "av2_listing.toml"
    path.write_text(begin + '[splitter]\nuse = "one_part"\n' + PLUTO, encoding="utf-8")
    listing = api.scenarios(api.read(path, {"output_dir": lab.work / "listing"})).listing
    lists: dict[str, Path] = {}
    for number, name in enumerate(sorted({one.log for one in listing.ids()})):
        lists[name] = lab.work / f"log-{number}.csv"
        with lists[name].open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([one.token] for one in listing.ids() if one.log == name)
    return lists


def curve(results: Mapping[str, Any], name: str = "val/fde_top1_m") -> list[tuple[float, float]]:
    """Return the points of a value over epochs."""
    return [(row["epoch"] + 1, row[name]) for row in results["steps"]["train"]["curves"] if name in row]


def table(title: str, results: Mapping[str, Any], beside: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the errors of a planner, of others beside it, and of the baselines."""
    step = results["steps"]["validate"]
    rows = {NAMES[name]: values for name, values in step["metrics"].items()}
    rows |= {name: each["steps"]["validate"]["metrics"]["planner"] for name, each in beside.items()}
    trained = results["steps"].get("train", {})
    print(f"\n{title}: {step['count']} scenarios; {trained.get('summary', 'weights of the run above')}\n", flush=True)
    print("| planner | top-1 ADE, m | top-1 FDE, m | top-1 miss | top-6 FDE, m | constant velocity's FDE over its top-1 FDE |")
    print("|---|--:|--:|--:|--:|--:|")
    level = step["metrics"]["constant_velocity"]["fde_top1_m"]
    for name, values in rows.items():
        numbers = [values[key] for key in ("ade_top1_m", "fde_top1_m", "miss_top1", "fde_top6_m")]
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in numbers)} | {level / max(values['fde_top1_m'], 1e-9):.2f} |")


if __name__ == "__main__":
    main()
