"""The network as an ONNX file, for programs without torch, and the proof that it computes the same."""

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from pluto_core.errors import PlutoError
from pluto_core.samples import nested
from pluto_planner import needs, schema
from pluto_planner.config import PlutoFeaturesConfig, PlutoModelConfig
from pluto_planner.network.planner import PlutoNetwork
from pluto_planner.weights import Weights

OUTPUTS = ("output_trajectory", "candidate_trajectories", "probability", "output_prediction")
"""Outputs of every network in evaluation mode (model spec section 9); `output_ref_free_trajectory` where it has that head."""
TOLERANCE = 1e-4
"""Largest difference between torch and ONNX, relative to the largest number of an output (0.01 m at 100 m)."""
_OPSET = 18
_ROWS = "batch"
_TRACED = {_ROWS: 2, "agent": 5, "polygon": 7, "static_object": 3, "reference_line": 4}
_CHECKED = (
    {_ROWS: 1, "agent": 2, "polygon": 3, "static_object": 1, "reference_line": 1},
    {_ROWS: 3, "agent": 9, "polygon": 30, "static_object": 2, "reference_line": 6},
)
"""Sizes other than the traced ones, at which both are compared."""
_CODES = 3
"""Every array of codes has these values at least."""


@attrs.frozen
class Exported:
    """What was written, and how far it is from torch."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    differences: Mapping[str, float]
    """Largest difference of each output between torch and ONNX over all checked batches."""


class Flat(nn.Module):
    """The network with one tensor an input, by position, and one an output."""

    def __init__(self, network: PlutoNetwork, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Keep the names."""
        super().__init__()
        self.network, self.inputs, self.outputs = network, inputs, outputs

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, in order."""
        found = self.network(nested(dict(zip(self.inputs, arrays, strict=True))))
        return tuple(found[name] for name in self.outputs)


def export(weights: Weights, path: Path) -> Exported:
    """Write the network as an ONNX file whose inputs are named as the arrays of a batch, and compare it with torch.

    Sizes of the batch, of agents, polygons, objects and lines are free (one or more each; padded entries are masked).

    Raises:
        PlutoError: The file cannot be written, or computes something else than torch.
    """
    network = weights.network().float()
    inputs = needs.pluto(weights.config).keys
    outputs = OUTPUTS + (("output_ref_free_trajectory",) if weights.config.ref_free_traj else ())
    flat = Flat(network, inputs, outputs).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        onnx.save(_model(flat, weights.config), path)
    except OSError as error:
        raise PlutoError(f"{path} cannot be written: {error.strerror}") from None
    differences = compare(flat, path, weights.config)
    return Exported(inputs, outputs, differences)


def _model(flat: Flat, config: PlutoModelConfig) -> Any:
    dims = {name: torch.export.Dim(name, min=1) for name in _TRACED}
    batch = random_batch(config, _TRACED, seed=0)
    shapes = tuple({place: dims[dim] for place, dim in free.items()} for free in _free_dims(config).values())
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")  # the exporter's advice concerns the exporter
        program = torch.onnx.export(
            flat,
            tuple(batch.values()),
            input_names=list(flat.inputs),
            output_names=list(flat.outputs),
            dynamic_shapes=(shapes,),
            opset_version=_OPSET,
            dynamo=True,
        )
    assert program is not None
    return program.model_proto


def compare(flat: Flat, path: Path, config: PlutoModelConfig) -> dict[str, float]:
    """Return the largest difference of each output between torch and the ONNX file.

    Raises:
        PlutoError: One is larger than rounding explains.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict.fromkeys(flat.outputs, 0.0)
    for seed, sizes in enumerate(_CHECKED):
        batch = random_batch(config, sizes, seed=seed)
        with torch.inference_mode():
            expected = flat(*batch.values())
        given = session.run(list(flat.outputs), {name: value.numpy() for name, value in batch.items()})
        for name, ours, theirs in zip(flat.outputs, expected, given, strict=True):
            seen = np.abs(ours.numpy()) < -PADDED if name == "probability" else np.ones(ours.shape, np.bool_)
            difference = float(np.abs(np.where(seen, ours.numpy() - theirs, 0.0)).max())
            found[name] = max(found[name], difference)
            if difference > TOLERANCE * max(1.0, float(np.abs(ours.numpy()[seen]).max(initial=0.0))):
                message = f"{path} computes something else than torch: {name} differs by {difference:.3g}; report it"
                raise PlutoError(message)
    return found


PADDED = -1e5
"""Logits of padded lines lie below."""


def random_batch(config: PlutoModelConfig, sizes: Mapping[str, int], *, seed: int) -> dict[str, Tensor]:
    """Return a batch of random scenes, by flat key, with the history of the agents only.

    Args:
        config: Settings of the network.
        sizes: Size of each free dim, `batch` included.
        seed: Another one, another batch.
    """
    draw = np.random.default_rng(seed)
    batch: dict[str, Tensor] = {}
    for key, one in _arrays(config).items():
        shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in (_ROWS, *one.dims))
        if one.dtype == "bool":
            values: Any = draw.random(shape) < 0.9  # noqa: PLR2004 -- mostly valid
        elif one.dtype == "int8" or key.endswith("category"):
            values = draw.integers(0, _CODES, shape).astype(one.dtype)
        else:
            values = draw.normal(0.0, 10.0 if one.unit == "m" else 1.0, shape).astype(one.dtype)
        batch[key] = torch.from_numpy(values)
    return batch


def _arrays(config: PlutoModelConfig) -> dict[str, Any]:
    """Return the specs of what the network reads, without any future."""
    history_s = (config.history_steps - 1) * config.interval_s
    features = PlutoFeaturesConfig(history_horizon=history_s, future_horizon=0.0, sample_interval=config.interval_s)
    arrays = schema.spec(features)
    return {key: arrays[key] for key in needs.pluto(config).keys}


def _free_dims(config: PlutoModelConfig) -> dict[str, dict[int, str]]:
    """Return the free dims of each input: their names by axis, the batch first."""
    return {
        key: {axis: dim for axis, dim in enumerate((_ROWS, *one.dims)) if isinstance(dim, str)}
        for key, one in _arrays(config).items()
    }


@contextlib.contextmanager
def _quiet(name: str) -> Any:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
