"""How long the PLUTO network takes: forward, a training step, one scenario; and how near it is to recorded outputs.

The batches are 32 scenarios, plain and as triplets (anchor, positive, negative: 96 rows), of the sizes that the recorded ones
have (39 agents, 128 polygons, 2 reference lines, 5 objects). With `--data`, a folder of recorded batches, outputs, losses and
gradients (`model/`), those batches are repeated to 32, and the tables of parity are printed; without, batches are random.
The reference's times were taken with its published code on a machine of the same kind and two threads, with batches of its own
making: sizes agree roughly, not exactly.

    python benchmarks/network.py --data ../shared/data/golden/model
    python benchmarks/network.py --rounds 3
    python benchmarks/network.py --parity-only --data ../shared/data/golden/model
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pluto_core.pipeline.allocator import keep_freed_memory
from pluto_core.samples import nested
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.network import PlutoNetwork, from_reference_state_dict
from pluto_planner.network.attention import MultiheadAttention
from pluto_planner.network.ego import EgoStateAttention
from pluto_planner.network.mlp import DropPath
from pluto_planner.objective import PlutoObjective, compute_losses
from pluto_planner.schema import spec

ROWS = 32
SIZES = {"agent": 39, "polygon": 128, "static_object": 5, "reference_line": 2}
REFERENCE_S = {"forward, plain": 1.4, "step, plain": 3.8, "forward, triplets": 4.4, "step, triplets": 12.9}
CONFIGS = {"training": False, "training_cil": True, "planner": True}
"""Recorded configurations, and whether triplets are contrasted."""
Tree = dict[str, Any]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with recorded batches, outputs, losses and weights.py")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured, after one warm-up")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--compile", action="store_true", help="measure the compiled network")
    parser.add_argument("--parity-only", action="store_true", help="measure no times")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as a training does
    if not options.parity_only:
        _times(options)
    if options.data:
        _parity(options.data)


def _times(options: argparse.Namespace) -> None:
    print(f"torch {torch.__version__}, {options.threads} threads, median (least) of {options.rounds}\n")
    print("| what | rows | s | CPU, s | reference, s | times as fast |\n|---|--:|--:|--:|--:|--:|")
    torch.manual_seed(0)
    network = PlutoNetwork(use_hidden_proj=True)
    if options.compile:
        network.compile()
    for name, contrast in (("plain", False), ("triplets", True)):
        batch = _batch(options.data, contrast=contrast)
        rows = len(batch["current_state"])
        for what, call in _calls(network, batch, contrast=contrast).items():
            wall, least, cpu = _measured(call, options.rounds)
            reference = REFERENCE_S.get(f"{what}, {name}")
            beside = f"{reference} | {reference / wall:.1f}" if reference else "- | -"
            print(f"| {what}, {name} | {rows} | {wall:.2f} ({least:.2f}) | {cpu:.2f} | {beside} |", flush=True)
    one = _mapped(_batch(options.data, contrast=False), lambda x: x[:1])
    wall, least, cpu = _measured(lambda: _infer(network.eval(), one), 3 * options.rounds)
    print(f"| inference of one scenario | 1 | {wall:.3f} ({least:.3f}) | {cpu:.3f} | - | - |")


def _calls(network: PlutoNetwork, batch: Tree, *, contrast: bool) -> Mapping[str, Callable[[], Any]]:
    objective = PlutoObjective(contrast=contrast)
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        network.train()
        objective(network(batch), batch, training=True)["loss"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return {
        "forward": lambda: network.train()(batch),
        "forward without gradients": lambda: _infer(network.eval(), batch),
        "step": step,
    }


def _infer(network: PlutoNetwork, batch: Tree) -> None:
    with torch.inference_mode():
        network(batch)


def _measured(call: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Return the median and least wall time and the least processor time of a call, s."""
    call()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), min(walls), min(cpus)


def _batch(data: Path | None, *, contrast: bool) -> Tree:
    """Return 32 scenarios, or as many triplets, in float32: anchors, positives, negatives."""
    copies = 3 if contrast else 1
    if data is None:
        return _random(ROWS * copies)
    recorded = _read(data / ("triplet_batch.npz" if contrast else "batch.npz"))

    def repeated(x: Tensor) -> Tensor:
        parts = x.chunk(copies) if len(x) == len(recorded["current_state"]) else [x]
        return torch.cat([part[torch.arange(ROWS) % len(part)] for part in parts])

    return _mapped(recorded, lambda x: repeated(x.float() if x.dtype == torch.float64 else x))


def _random(rows: int) -> Tree:
    draw = np.random.default_rng(0)
    flat: dict[str, Tensor] = {}
    for key, one in spec(PlutoFeaturesConfig(cost_map_size_px=500)).items():
        if not one.batch:
            continue
        shape = (rows, *(SIZES[dim] if isinstance(dim, str) else dim for dim in one.dims))
        if one.dtype == "bool":
            values: Any = draw.random(shape) < 0.8
        elif one.dtype == "int8" or key.endswith("category"):
            values = draw.integers(0, 3, shape).astype(one.dtype)
        else:
            values = draw.normal(0.0, 3.0, shape).astype(one.dtype)
        flat[key] = torch.from_numpy(values)
    return nested(flat)


def _parity(data: Path) -> None:
    """Print the largest differences from what was recorded, in float64."""
    told = json.loads((data / "config.json").read_text(encoding="utf-8"))["configs"]
    print("\n| configuration | parameters | output | largest difference, batch of 6 | of 1 |\n|---|--:|---|--:|--:|")
    for config in CONFIGS:
        network = _network(data, told[config])
        count = sum(parameter.numel() for parameter in network.parameters())
        for name, differences in _output_differences(data, config, network).items():
            print(f"| {config} | {count:,} | `{name}` | {differences[0]:.1e} | {differences[1]:.1e} |")
    print("\n| configuration | loss | evaluation, batch of 6 | of 1 | training, triplets |\n|---|---|--:|--:|--:|")
    worst: dict[str, tuple[float, str, int]] = {}
    for config, contrast in CONFIGS.items():
        cases, worst[config] = _loss_differences(data, told[config], contrast=contrast)
        for name in cases[0]:
            print(f"| {config} | `{name}` | " + " | ".join(f"{case[name]:.1e}" for case in cases) + " |")
    print("\n| configuration | gradients | largest relative difference of a norm | of |\n|---|--:|--:|---|")
    for config, (difference, name, count) in worst.items():
        print(f"| {config} | {count} | {difference:.1e} | `{name}` |")


def _output_differences(data: Path, config: str, network: PlutoNetwork) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, batch in (("batch", _double(_read(data / "batch.npz"))), ("first", _first(data))):
        with torch.no_grad():
            outputs = network(batch)
        with np.load(data / f"outputs_{config}_{name}.npz") as recorded:
            for key in recorded:
                difference = float((outputs[key] - torch.from_numpy(recorded[key])).abs().max())
                found.setdefault(key, []).append(difference)
    return found


def _loss_differences(
    data: Path, told: Mapping[str, Any], *, contrast: bool
) -> tuple[list[dict[str, float]], tuple[float, str, int]]:
    """Return relative differences of every loss in three cases, and the worst gradient: how far, whose, of how many."""
    network = _network(data, told)
    cases = []
    for name, batch in (("eval_batch", _double(_read(data / "batch.npz"))), ("eval_first", _first(data))):
        with torch.no_grad():
            losses = compute_losses(network(batch), batch, contrast=contrast, training=False)
        cases.append(dict(_relative(losses, told["losses"][name])))
    batch = _double(_read(data / "triplet_batch.npz"))
    losses = compute_losses(_without_noise(network)(batch), batch, contrast=contrast, training=True)
    cases.append(dict(_relative(losses, told["losses"]["train_triplet"])))
    losses["loss"].backward()
    norms = {name: parameter.grad.norm() for name, parameter in network.named_parameters() if parameter.grad is not None}
    gradients = dict(_relative(norms, told["grad_norm"]))
    name = max(gradients, key=lambda key: gradients[key])
    return cases, (gradients[name], name, len(gradients))


def _relative(found: Mapping[str, Tensor], recorded: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield the relative difference of every recorded number; the absolute one where zero was recorded."""
    for name, expected in recorded.items():
        yield name, abs(found[name].item() - expected) / (abs(expected) if abs(expected) > 1e-12 else 1.0)


def _without_noise(network: PlutoNetwork) -> PlutoNetwork:
    for module in network.train().modules():
        if isinstance(module, DropPath):
            module.probability = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, MultiheadAttention | EgoStateAttention):
            module.dropout = 0.0
    return network


def _network(data: Path, told: Mapping[str, Any]) -> PlutoNetwork:
    place = importlib.util.spec_from_file_location("weights", data / "weights.py")
    assert place is not None
    assert place.loader is not None
    rule = importlib.util.module_from_spec(place)
    place.loader.exec_module(rule)
    shapes = told["shapes"].items()
    return from_reference_state_dict({name: torch.from_numpy(np.asarray(rule.fill(name, tuple(s)))) for name, s in shapes})


def _read(path: Path) -> Tree:
    with np.load(path) as arrays:
        return nested({key: torch.from_numpy(arrays[key]) for key in arrays})


def _first(data: Path) -> Tree:
    """Return sample 0 alone, without padding."""
    one = _double(_mapped(_read(data / "batch.npz"), lambda x: x[:1]))
    for group in ("agent", "map", "reference_line", "static_objects"):
        valid = one[group]["valid_mask"][0]
        count = int(valid.reshape(len(valid), -1).any(dim=1).sum())
        one[group] = {name: x[:, :count] for name, x in one[group].items()}
    return one


def _double(tree: Tree) -> Tree:
    return _mapped(tree, lambda x: x.double() if x.is_floating_point() else x)


def _mapped(tree: Tree, change: Callable[[Tensor], Tensor]) -> Tree:
    return {key: _mapped(value, change) if isinstance(value, dict) else change(value) for key, value in tree.items()}


if __name__ == "__main__":
    main()
