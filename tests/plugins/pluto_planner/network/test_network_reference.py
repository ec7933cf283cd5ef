import pytest
import torch

from pluto_core.errors import PlutoError
from pluto_planner.network import PlutoNetwork, from_reference_state_dict


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"use_hidden_proj": True, "cat_x": True, "ref_free_traj": True},
        {"state_attn_encoder": False, "state_channel": 5},
        {"use_ego_history": True},
        {"num_modes": 3, "future_steps": 30, "encoder_depth": 1, "decoder_depth": 3},
    ],
)
def test_settings_are_read_from_names_and_shapes(flags):
    """A saved network comes back with the same tensors, whatever its flags and sizes."""
    state = PlutoNetwork(**{"dim": 32, "encoder_depth": 2, "decoder_depth": 2, **flags}).state_dict()
    again = from_reference_state_dict(state)
    assert not again.training
    assert again.parity
    assert again.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


def test_names_of_lightning_checkpoints_are_understood(small):
    """The prefix `model.` is taken off and what stands beside the model is left out."""
    state = PlutoNetwork(**small).state_dict()
    wrapped = {f"model.{name}": value for name, value in state.items()} | {"objective.weight": torch.ones(1)}
    assert from_reference_state_dict(wrapped).state_dict().keys() == state.keys()


def test_every_misfit_is_named(small):
    """Missing, unexpected and misshapen entries are listed in one message."""
    state = PlutoNetwork(**small).state_dict()
    del state["norm.bias"]
    state["extra.weight"] = torch.ones(1)
    state["pos_emb.to_out.2.bias"] = torch.ones(7)
    with pytest.raises(PlutoError) as caught:
        from_reference_state_dict(state)
    text = str(caught.value)
    assert "missing norm.bias" in text
    assert "unexpected extra.weight" in text
    assert "pos_emb.to_out.2.bias is (7,) instead of (32,)" in text


def test_another_network_is_refused():
    """A state dict of something else says what is missing."""
    with pytest.raises(PlutoError, match=r"norm\.weight is missing, so this is no PLUTO network"):
        from_reference_state_dict({"conv.weight": torch.ones(1)})
