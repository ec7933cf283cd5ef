"""The command `pluto model`."""

from importlib.util import find_spec
from pathlib import Path

import click

from pluto_core.errors import PlutoError

_ONNX = ("onnx", "onnxruntime", "onnxscript")
"""What the extra `onnx` installs."""
_CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def model() -> None:
    """Take weights of the PLUTO network in and out.

    \b
    pluto model import pluto_1M.ckpt --to pluto.pt
    pluto model export runs/001/checkpoints/last.ckpt --onnx pluto.onnx
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped


@model.command("import")
@_CHECKPOINT
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
def import_(checkpoint: Path, target: Path) -> None:
    """Take the weights out of CHECKPOINT: ours, one of the published code, or a state dict. Nothing in it is executed.

    \b
    pluto model import pluto_1M.ckpt --to pluto.pt
    pluto predict FILE --checkpoint pluto.pt --scenario TOKEN

    Every name and shape must be that of a PLUTO network; the [model] table that selects it is printed.
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_planner.weights import read_weights

    weights = read_weights(checkpoint)
    weights.save(target)
    click.echo(f"{len(weights.state)} tensors, {weights.count:,} parameters: {target}", err=True)
    click.echo(weights.section())


@model.command("export")
@_CHECKPOINT
@click.option("--onnx", "target", type=click.Path(path_type=Path, dir_okay=False), required=True, help="ONNX file to write.")
def export(checkpoint: Path, target: Path) -> None:
    """Write the network of CHECKPOINT as an ONNX file and compare what it computes with torch (extra `onnx`).

    \b
    pluto model export runs/001/checkpoints/last.ckpt --onnx pluto.onnx

    Inputs are named as the arrays of a batch (agent/position, with the history only). Batch, agents, polygons, objects and
    lines may have any size from 1 on; what is padded is masked.
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    missing = [name for name in _ONNX if find_spec(name) is None]
    if missing:
        message = f"an ONNX file needs {', '.join(missing)}: pip install 'pluto-framework[onnx]'"
        raise PlutoError(message)
    from pluto_planner import portable
    from pluto_planner.weights import read_weights

    weights = read_weights(checkpoint)
    done = portable.export(weights, target)
    click.echo(f"{target}: {len(done.inputs)} inputs, {weights.count:,} parameters")
    for name, difference in done.differences.items():
        click.echo(f"  {name}: differs from torch by {difference:.1e} at most")
