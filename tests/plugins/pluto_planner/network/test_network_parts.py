import math

import pytest
import torch
from torch import nn

from pluto_planner.network.attention import MultiheadAttention, attendable
from pluto_planner.network.decoder import DecoderLayer
from pluto_planner.network.fourier import FourierEmbedding, wrap
from pluto_planner.network.mlp import DropPath


def test_fourier_without_frequencies_sees_only_the_number_itself():
    """With frequencies 0 cosine is 1 and sine 0 for every x, so the embedding is the MLP of [1..., 0..., x]."""
    embedding = FourierEmbedding(1, 8, frequencies=4).double()
    nn.init.zeros_(embedding.freqs.weight)
    x = torch.tensor([[0.0], [2.5]], dtype=torch.float64)
    basis = torch.tensor([[1.0] * 4 + [0.0] * 4 + [value] for value in (0.0, 2.5)], dtype=torch.float64)
    torch.testing.assert_close(embedding(x), embedding.to_out(embedding.mlps[0](basis)))


def test_fourier_sums_channels_with_their_own_weights():
    """The embedding is to_out of the sum over channels of MLP_i([cos 2 pi f_i x_i, sin 2 pi f_i x_i, x_i])."""
    embedding = FourierEmbedding(3, 8).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    total = torch.zeros(4, 8, dtype=torch.float64)
    for channel in range(3):
        phase = 2 * math.pi * x[:, channel, None] * embedding.freqs.weight[channel]
        total += embedding.mlps[channel](torch.cat([phase.cos(), phase.sin(), x[:, channel, None]], dim=1))
    torch.testing.assert_close(embedding(x), embedding.to_out(total))


def test_angles_are_wrapped_to_half_open_turns():
    """Wrapped angles lie in [-pi, pi) and differ by whole turns."""
    angle = torch.linspace(-20, 20, 101, dtype=torch.float64)
    wrapped = wrap(angle)
    assert ((wrapped >= -math.pi) & (wrapped < math.pi)).all()
    turns = (angle - wrapped) / (2 * math.pi)
    torch.testing.assert_close(turns, turns.round())


@pytest.mark.parametrize("shared", ["all", "query and key", "key and value", "nothing"])
def test_attention_is_that_of_torch(shared):
    """Packed projections, scale, heads and padding are those of torch's own module, whichever inputs are one."""
    ours, theirs = MultiheadAttention(16, 4).double().eval(), nn.MultiheadAttention(16, 4, batch_first=True).double().eval()
    nn.init.normal_(ours.in_proj_bias)
    theirs.load_state_dict(ours.state_dict())
    q, k, v = torch.randn(3, 2, 5, 16, dtype=torch.float64)
    q, k, v = {"all": (q, q, q), "query and key": (q, q, v), "key and value": (q, k, k), "nothing": (q, k, v)}[shared]
    valid = torch.tensor([[True, True, False, True, False], [True] * 5])
    expected, _ = theirs(q, k, v, key_padding_mask=~valid, need_weights=False)
    torch.testing.assert_close(ours(q, k, v, attendable(valid)), expected)


def test_attention_over_nothing_has_finite_gradients():
    """A sample without any valid key gives finite outputs and gradients, and does not disturb its neighbour."""
    attention = MultiheadAttention(8, 2)
    x = torch.randn(2, 3, 8, requires_grad=True)
    out = attention(x, x, x, attendable(torch.tensor([[False] * 3, [True, False, False]])))
    out[1].sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())
    assert (x.grad[0] == 0).all()


def test_drop_path_drops_rows_and_keeps_the_mean():
    """Rows are zero or scaled by 1 / (1 - p); evaluation changes nothing."""
    drop, x = DropPath(0.25), torch.ones(4000, 2, 3)
    out = drop(x)
    rows = out[:, 0, 0]
    assert rows.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (out == rows[:, None, None]).all()
    assert out.mean().item() == pytest.approx(1.0, abs=0.05)
    assert drop.eval()(x) is x


def test_with_one_mode_attention_across_modes_hands_values_on():
    """A softmax over one key is 1: the second step adds the projected value of the query itself."""
    layer = DecoderLayer(8, 2, 0.0).double()
    for silent in (layer.r2r_attn, layer.cross_attn):
        nn.init.zeros_(silent.out_proj.weight)
        nn.init.zeros_(silent.out_proj.bias)
    for parameter in layer.ffn[3].parameters():
        nn.init.zeros_(parameter)
    query, scene = torch.randn(2, 3, 1, 8, dtype=torch.float64), torch.randn(2, 4, 8, dtype=torch.float64)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    out = layer(query, valid, attendable(valid), scene, attendable(torch.ones(2, 4) > 0), torch.randn(1, 1, 8).double())
    attention = layer.m2m_attn
    value = nn.functional.linear(layer.norm2(query), attention.in_proj_weight[16:], attention.in_proj_bias[16:])
    expected = (query + attention.out_proj(value)) * valid[:, :, None, None]
    torch.testing.assert_close(out, expected)
