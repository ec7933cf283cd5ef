import pytest
import torch
from torch import nn

from pluto_planner.network.attention import MultiheadAttention
from pluto_planner.network.ego import EgoStateAttention
from pluto_planner.network.mlp import DropPath
from pluto_planner.objective import compute_losses

CONFIGS = ("training", "training_cil", "planner")


def without_dropout(network):
    """Return the network in training mode with every dropout at zero."""
    for module in network.train().modules():
        if isinstance(module, DropPath):
            module.probability = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, MultiheadAttention | EgoStateAttention):
            module.dropout = 0.0
    return network


def assert_losses(losses, recorded):
    """Compare all terms with the recorded ones within 1e-7, relatively."""
    assert losses.keys() == recorded.keys()
    for name, expected in recorded.items():
        assert losses[name].item() == pytest.approx(expected, rel=1e-7, abs=1e-12), name


@pytest.mark.parametrize("config", CONFIGS)
def test_evaluation_losses_equal_the_recorded_ones(golden, config):
    """Every term on both batches is the reference's."""
    network = golden.network(config)
    for name, batch in (("eval_batch", golden.batch("batch")), ("eval_first", golden.first())):
        with torch.no_grad():
            losses = compute_losses(network(batch), batch, contrast=config != "training", training=False)
        assert_losses(losses, golden.configs[config]["losses"][name])


@pytest.mark.parametrize("config", CONFIGS)
def test_training_losses_and_gradients_equal_the_recorded_ones(golden, config):
    """On triplets in training mode every term and the norm of every parameter's gradient is the reference's."""
    network, batch = without_dropout(golden.network(config)), golden.batch("triplet_batch")
    losses = compute_losses(network(batch), batch, contrast=config != "training", training=True)
    assert_losses(losses, golden.configs[config]["losses"]["train_triplet"])
    losses["loss"].backward()
    recorded = golden.configs[config]["grad_norm"]
    norms = {name: parameter.grad.norm().item() for name, parameter in network.named_parameters()}
    assert norms == pytest.approx(recorded, rel=1e-6, abs=1e-12)
