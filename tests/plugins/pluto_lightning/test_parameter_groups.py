import pytest
import torch
from torch import nn

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import AdamWConfig
from pluto_lightning.optimizers import make_adamw
from pluto_lightning.parameter_groups import parameter_groups
from pluto_planner.network import PlutoNetwork


def sizes(module):
    return [(len(group["params"]), sum(one.numel() for one in group["params"])) for group in parameter_groups(module, 1e-4)]


def test_the_groups_of_the_pluto_network_are_those_of_the_reference():
    """With every head: 137 tensors of 4 189 024 numbers decay, 289 of 51 565 do not (training spec, section 8)."""
    network = PlutoNetwork(use_hidden_proj=True, cat_x=True, ref_free_traj=True)
    assert sizes(network) == [(137, 4_189_024), (289, 51_565)]


class Mixed(nn.Module):
    """One layer of every sort that the rule tells apart."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.conv = nn.Conv1d(2, 3, 3)
        self.attention = nn.MultiheadAttention(4, 2)
        self.norm = nn.LayerNorm(3)
        self.batch_norm = nn.BatchNorm1d(3)
        self.group_norm = nn.GroupNorm(1, 3)
        self.embedding = nn.Embedding(5, 3)
        self.position = nn.Parameter(torch.zeros(2, 3))


def test_only_weights_that_multiply_decay():
    """Linear, convolution and attention weights decay; biases, norms, embeddings and free parameters do not."""
    module = Mixed()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    decayed, rest = ([names[id(one)] for one in group["params"]] for group in parameter_groups(module, 0.1))
    assert decayed == ["attention.in_proj_weight", "attention.out_proj.weight", "conv.weight", "linear.weight"]
    assert set(rest) == set(names.values()) - set(decayed)
    assert rest == sorted(rest)


def test_a_weight_shared_with_an_embedding_does_not_decay_and_is_counted_once():
    """Every parameter stands in exactly one group, tied ones too."""
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    module[1].weight = module[0].weight
    assert sizes(module) == [(0, 0), (1, 15)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_adamw_takes_groups_and_settings(weight_decay):
    """The optimizer has the settings of its config; only the first group decays, whatever the batch size."""
    config = AdamWConfig(lr=0.5, weight_decay=weight_decay, betas=(0.8, 0.9), eps=1e-6)
    optimizer = make_adamw(config, Context())(Mixed(), batch_size=1024)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [weight_decay, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.8, 0.9), 1e-6)


def test_the_defaults_are_the_published_ones():
    """Learning rate 1e-3, decay 1e-4, betas 0.9 and 0.999, epsilon 1e-8."""
    config = AdamWConfig()
    assert (config.lr, config.weight_decay, config.betas, config.eps) == (1e-3, 1e-4, (0.9, 0.999), 1e-8)


def test_parameters_with_a_rate_of_their_own():
    """Every parameter is stepped once, at the rate of the first pattern that fits; what decays is as without factors."""
    module = Mixed()
    config = AdamWConfig(lr=0.5, weight_decay=0.1, lr_factors={"conv.*": 4.0, "*norm.*": 2.0, "*.weight": 3.0})
    groups = make_adamw(config, Context())(module, batch_size=8).param_groups
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    rates = {names[id(one)]: group["lr"] for group in groups for one in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates) == len(names)
    assert rates["conv.bias"] == rates["conv.weight"] == 2.0
    assert rates["norm.weight"] == rates["batch_norm.bias"] == 1.0
    assert rates["linear.weight"] == rates["attention.out_proj.weight"] == 1.5
    assert rates["linear.bias"] == rates["position"] == 0.5
    decayed = {names[id(one)] for group in groups if group["weight_decay"] for one in group["params"]}
    assert decayed == {"attention.in_proj_weight", "attention.out_proj.weight", "conv.weight", "linear.weight"}


def test_a_pattern_that_fits_nothing_is_told():
    """A factor for parameters that the model does not have is refused with the pattern and names that there are."""
    config = AdamWConfig(lr_factors={"decoder.*": 2.0})
    with pytest.raises(PlutoError, match=r"'decoder\.\*' fits no parameter of the model; its first are position, linear"):
        make_adamw(config, Context())(Mixed(), batch_size=8)
