import numpy as np
import pytest
import torch

from pluto_core.cli import main
from pluto_core.errors import PlutoError
from pluto_planner.config import PlutoModelConfig
from pluto_planner.network import PlutoNetwork
from pluto_planner.weights import Weights, network_settings

portable = pytest.importorskip("pluto_planner.portable", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

CONFIG = PlutoModelConfig(dim=16, encoder_depth=1, decoder_depth=1, num_modes=3, future_steps=10)
SIZES = {"batch": 4, "agent": 6, "polygon": 5, "static_object": 7, "reference_line": 2}


def weights_of(seed):
    """Return weights of a small network that are not the initial ones."""
    torch.manual_seed(seed)
    network = PlutoNetwork(**network_settings(CONFIG))
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    return Weights(dict(network.state_dict()), CONFIG)


def test_random_batches_are_what_the_network_reads():
    """Every array that it needs, history only, in sizes as asked for; codes are codes of all embeddings."""
    batch = portable.random_batch(CONFIG, SIZES, seed=0)
    assert batch["agent/position"].shape == (4, 6, 21, 2)
    flat = portable.Flat(weights_of(0).network(), tuple(batch), portable.OUTPUTS)
    with torch.no_grad():
        outputs = flat(*batch.values())
    assert [output.shape[0] for output in outputs] == [4] * len(portable.OUTPUTS)
    assert all(output.isfinite().all() for output in outputs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_exported_network_computes_the_same(tmp_path, capsys):
    """Sizes other than the traced ones give torch's outputs, padding is masked, and another network's file is found out."""
    path, other = tmp_path / "w.pt", weights_of(1)
    weights_of(0).save(path)
    text = '[model]\nuse = "pluto"\ndim = 16\nencoder_depth = 1\ndecoder_depth = 1\nnum_modes = 3\nfuture_steps = 10\n'
    stored = torch.load(path, weights_only=True) | {"experiment": text}
    torch.save(stored, path)
    target = tmp_path / "net.onnx"
    assert main.outcome(["model", "export", str(path), "--onnx", str(target)]) == 0
    assert "output_trajectory: differs from torch by" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    batch = portable.random_batch(CONFIG, SIZES, seed=5)
    outputs = (*portable.OUTPUTS, "output_ref_free_trajectory")
    flat = portable.Flat(weights_of(0).network(), tuple(batch), outputs)
    for changed in (batch, batch | {"reference_line/valid_mask": torch.zeros_like(batch["reference_line/valid_mask"])}):
        given = session.run(list(outputs), {name: value.numpy() for name, value in changed.items()})
        with torch.no_grad():
            for ours, theirs in zip(flat(*changed.values()), given, strict=True):
                np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-3, rtol=1e-4)
    with pytest.raises(PlutoError, match="computes something else than torch"):
        portable.compare(portable.Flat(other.network(), tuple(batch), outputs), target, CONFIG)
