import pytest
import torch

CONFIGS = {"training": 4_058_893, "training_cil": 4_091_917, "planner": 4_240_589}


@pytest.mark.parametrize("config", CONFIGS)
def test_outputs_equal_the_recorded_ones(golden, config):
    """A batch of six and a batch of one give the reference's outputs, by name, within a nanometre."""
    network = golden.network(config)
    for name, batch in (("batch", golden.batch("batch")), ("first", golden.first())):
        with torch.no_grad():
            outputs = network(batch)
        recorded = golden.outputs(config, name)
        assert outputs.keys() == recorded.keys()
        for key, expected in recorded.items():
            torch.testing.assert_close(outputs[key], expected, rtol=0, atol=1e-9, msg=f"{name}: {key}")


@pytest.mark.parametrize(("config", "count"), CONFIGS.items())
def test_names_and_shapes_are_the_published_ones(golden, config, count):
    """The state dict has the recorded entries in the recorded order, and as many parameters."""
    network = golden.network(config)
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert list(shapes.items()) == list(golden.configs[config]["shapes"].items())
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_a_fixed_batch_gives_what_its_samples_give_alone(golden):
    """Without parity a sample's outputs do not depend on its batch; with parity they do (M-1)."""
    batch, alone = golden.batch("batch"), golden.outputs("planner", "first")["trajectory"]
    with torch.no_grad():
        fixed = golden.network("planner", parity=False)(batch)["trajectory"][:1, :1]
        paired_wrongly = golden.network("planner")(batch)["trajectory"][:1, :1]
    torch.testing.assert_close(fixed, alone, rtol=0, atol=1e-9)
    assert (paired_wrongly - alone).abs().max() > 1e-3
