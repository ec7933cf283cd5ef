import pytest
import torch
from torch import nn
from torch.nn import functional

from pluto_core.errors import PlutoError
from pluto_planner.network.history import HistoryEncoder
from pluto_planner.network.neighborhood import NeighborhoodAttention1D, window_starts


def looped(attention, x, kernel):
    """Neighbourhood attention step by step: window, logits with bias, softmax, sum (model spec section 3.1)."""
    rows, steps, dim = x.shape
    x = functional.pad(x, (0, 0, 0, max(kernel - steps, 0)))
    length, heads = x.shape[1], attention.num_heads
    q, k, v = attention.qkv(x).view(rows, length, 3, heads, dim // heads).unbind(2)
    out = torch.zeros(rows, length, heads, dim // heads, dtype=x.dtype)
    for i in range(length):
        start = min(max(i - (kernel - 1) // 2, 0), length - kernel)
        for head in range(heads):
            keys = k[:, start : start + kernel, head]
            logits = (keys @ q[:, i, head, :, None])[..., 0] * (dim // heads) ** -0.5
            logits = logits + attention.rpb[head, start - i + kernel - 1 : start - i + 2 * kernel - 1]
            out[:, i, head] = (logits.softmax(dim=1)[..., None] * v[:, start : start + kernel, head]).sum(dim=1)
    return attention.proj(out.flatten(2))[:, :steps]


@pytest.mark.parametrize(("length", "kernel"), [(20, 3), (10, 3), (5, 5), (7, 5), (3, 5)])
def test_attention_equals_the_loop(length, kernel):
    """Windows, borders, biases and padding of short sequences are those of the definition."""
    attention = NeighborhoodAttention1D(8, 2, kernel, length).double()
    nn.init.normal_(attention.rpb)
    x = torch.randn(3, length, 8, dtype=torch.float64)
    expected = looped(attention, x, kernel)
    torch.testing.assert_close(attention(x), expected)
    torch.testing.assert_close(attention(x, last=2), expected[:, -2:])


def test_windows_move_inwards_at_the_borders():
    """Of 20 steps and kernel 3, step 0 sees {0, 1, 2} and step 19 {17, 18, 19}."""
    starts = window_starts(20, 3)
    assert (starts[0], starts[1], starts[10], starts[19]) == (0, 0, 9, 17)


@pytest.mark.parametrize(("length", "kernel", "dilation"), [(20, 3, 2), (20, 3, 4), (11, 3, 3), (17, 5, 2), (5, 3, 2)])
def test_dilated_attention_is_attention_within_every_nth_step(length, kernel, dilation):
    """Steps that lie a multiple of the dilation apart attend to one another as a sequence of their own."""
    dilated = NeighborhoodAttention1D(8, 2, kernel, length, dilation).double()
    nn.init.normal_(dilated.rpb)
    x = torch.randn(3, length, 8, dtype=torch.float64)
    whole = functional.pad(x, (0, 0, 0, max(kernel * dilation - length, 0)))
    expected = torch.zeros_like(whole)
    for first in range(dilation):
        alone = NeighborhoodAttention1D(8, 2, kernel, whole[:, first::dilation].shape[1]).double()
        alone.load_state_dict(dilated.state_dict())
        expected[:, first::dilation] = alone(whole[:, first::dilation])
    torch.testing.assert_close(dilated(x), expected[:, :length])
    torch.testing.assert_close(dilated(x, last=2), expected[:, length - 2 : length])


def test_dilated_windows_move_inwards_at_the_borders():
    """Of 7 steps, kernel 3, dilation 2: even steps see {0, 2, 4} or {2, 4, 6}, odd ones {1, 3, 5}."""
    assert window_starts(7, 3, 2).tolist() == [0, 1, 0, 1, 2, 1, 2]


def test_without_logits_the_window_is_averaged():
    """With q = 0 and no bias the output is the plain mean of the window's values."""
    attention = NeighborhoodAttention1D(4, 1, 3, 6).double()
    nn.init.zeros_(attention.rpb)
    with torch.no_grad():
        attention.qkv.weight[:4] = 0
        attention.qkv.bias[:4] = 0
        attention.proj.weight.copy_(torch.eye(4))
        attention.proj.bias.zero_()
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    value = attention.qkv(x)[..., 8:]
    torch.testing.assert_close(attention(x)[0, 0], value[0, :3].mean(dim=0))
    torch.testing.assert_close(attention(x)[0, 5], value[0, 3:].mean(dim=0))


def whole_pyramid(encoder, x):
    """Every step of every level, with torch's own convolutions and interpolation, read at the last step."""
    x = encoder.embed.proj(x.transpose(1, 2)).transpose(1, 2)
    laterals = []
    for i, level in enumerate(encoder.levels):
        for block in level.blocks:
            x = x + block.attn(block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        laterals.append(encoder.lateral_convs[i](getattr(encoder, f"norm{i}")(x).transpose(1, 2)))
        if level.downsample is not None:
            x = level.downsample.norm(level.downsample.reduction(x.transpose(1, 2)).transpose(1, 2))
    for i in (1, 0):
        size = laterals[i].shape[-1]
        laterals[i] = laterals[i] + functional.interpolate(laterals[i + 1], size=size, mode="linear", align_corners=False)
    return encoder.fpn_conv(laterals[0])[..., -1]


@pytest.mark.parametrize("steps", [20, 10, 5, 13])
def test_only_what_the_last_step_needs_is_computed(steps):
    """The pruned pyramid equals the whole one, also where levels do not halve evenly."""
    encoder = HistoryEncoder(9, 32, steps, 0.2).double().eval()
    x = torch.randn(4, steps, 9, dtype=torch.float64)
    torch.testing.assert_close(encoder(x), whole_pyramid(encoder, x))


def test_too_short_a_history_is_refused():
    """Four steps leave one at the top: the message names the setting."""
    with pytest.raises(PlutoError, match="history_steps"):
        HistoryEncoder(9, 32, 4, 0.2)
