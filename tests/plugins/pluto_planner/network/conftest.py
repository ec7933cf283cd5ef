"""Batches and recorded networks for the tests of the PLUTO planner."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from pluto_planner.network import PlutoNetwork, from_reference_state_dict

GROUPS = ("agent", "map", "reference_line", "static_objects")


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """Start every test with the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Return settings of a network that is quick to run."""
    flags = {"use_hidden_proj": True, "cat_x": True, "ref_free_traj": True}
    return {"dim": 32, "num_heads": 4, "encoder_depth": 2, "decoder_depth": 2, "num_modes": 5, **flags}


def random_batch(
    rows: int = 3, agents: int = 4, polygons: int = 5, objects: int = 3, lines: int = 2, seed: int = 1
) -> dict[str, Any]:
    """Return a batch of random numbers with random masks, the first entry of each group valid."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=rng)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=rng)

    seen = uniform(rows, agents, 101) < 0.7
    seen[:, :1] = True
    points = (uniform(rows, polygons, 20) < 0.8) & (uniform(rows, polygons, 1) < 0.8)
    points[:, :1] = True
    line = (torch.arange(120) < 20 + 100 * uniform(rows, lines, 1)) & (uniform(rows, lines, 1) < 0.7)
    line[:, :1, :9] = True
    return {
        "agent": {
            "position": normal(rows, agents, 101, 2, scale=20),
            "heading": normal(rows, agents, 101),
            "velocity": normal(rows, agents, 101, 2, scale=5),
            "shape": 2 + uniform(rows, agents, 101, 2),
            "category": draw(4, rows, agents).to(torch.int8),
            "valid_mask": seen,
            "target": normal(rows, agents, 80, 3, scale=5),
        },
        "map": {
            "point_position": normal(rows, polygons, 3, 20, 2, scale=20),
            "point_vector": normal(rows, polygons, 3, 20, 2),
            "point_orientation": normal(rows, polygons, 3, 20),
            "polygon_center": normal(rows, polygons, 3, scale=20),
            "polygon_type": draw(3, rows, polygons).to(torch.int8),
            "polygon_on_route": uniform(rows, polygons) < 0.5,
            "polygon_tl_status": draw(4, rows, polygons).to(torch.int8),
            "polygon_has_speed_limit": uniform(rows, polygons) < 0.5,
            "polygon_speed_limit": 15 * uniform(rows, polygons),
            "valid_mask": points,
        },
        "reference_line": {
            "position": normal(rows, lines, 120, 2, scale=20),
            "vector": normal(rows, lines, 120, 2),
            "orientation": normal(rows, lines, 120),
            "valid_mask": line,
            "future_projection": 50 * uniform(rows, lines, 8, 2),
        },
        "static_objects": {
            "position": normal(rows, objects, 2, scale=20),
            "heading": normal(rows, objects),
            "shape": 1 + uniform(rows, objects, 2),
            "category": draw(4, rows, objects).float(),
            "valid_mask": uniform(rows, objects) < 0.7,
        },
        "current_state": normal(rows, 7),
        "cost_maps": normal(rows, 100, 100, 1, scale=3),
    }


def mapped(batch: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Return a nested batch with every tensor changed."""
    return {name: mapped(x, change) if isinstance(x, dict) else change(x) for name, x in batch.items()}


def as_double(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch whose floating-point tensors are float64."""
    return mapped(batch, lambda x: x.double() if x.is_floating_point() else x)


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., dict[str, Any]]:
    """Return the maker of random batches: sizes by name, float32, or float64 with `double`."""

    def make(*, double: bool = False, **sizes: int) -> dict[str, Any]:
        return as_double(random_batch(**sizes)) if double else random_batch(**sizes)

    return make


@attrs.frozen
class Golden:
    """The recorded reference: settings, losses, outputs, and networks with its weights."""

    folder: Path
    configs: dict[str, Any]

    def batch(self, name: str) -> dict[str, Any]:
        """Return a recorded batch, nested, in float64."""
        nested: dict[str, Any] = {}
        with np.load(self.folder / f"{name}.npz") as arrays:
            for key in arrays:
                *groups, leaf = key.split("/")
                inner = nested
                for group in groups:
                    inner = inner.setdefault(group, {})
                inner[leaf] = torch.from_numpy(arrays[key])
        return as_double(nested)

    def first(self) -> dict[str, Any]:
        """Return sample 0 of the recorded batch alone, without padding."""
        one = mapped(self.batch("batch"), lambda x: x[:1])
        for group in GROUPS:
            valid = one[group]["valid_mask"][0]
            count = int(valid.reshape(len(valid), -1).any(dim=1).sum())
            one[group] = {name: x[:, :count] for name, x in one[group].items()}
        return one

    def outputs(self, config: str, batch: str) -> dict[str, Tensor]:
        """Return recorded outputs."""
        with np.load(self.folder / f"outputs_{config}_{batch}.npz") as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays}

    def state(self, config: str) -> dict[str, Tensor]:
        """Return the state dict that the rule for weights gives."""
        spec = importlib.util.spec_from_file_location("golden_weights", self.folder / "weights.py")
        assert spec is not None
        assert spec.loader is not None
        rule = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(rule)
        shapes = self.configs[config]["shapes"].items()
        return {name: torch.from_numpy(np.asarray(rule.fill(name, tuple(shape)))) for name, shape in shapes}

    def network(self, config: str, *, parity: bool = True) -> PlutoNetwork:
        """Return the network of a configuration with those weights, in float64 and in evaluation mode."""
        return from_reference_state_dict(self.state(config), parity=parity)


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Golden:
    """Return what was recorded of the reference network."""
    folder = shared_data / "golden" / "model"
    return Golden(folder=folder, configs=json.loads((folder / "config.json").read_text())["configs"])
