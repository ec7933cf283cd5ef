import pytest
import torch

from pluto_core.errors import PlutoError
from pluto_lightning.checkpoints import load_weights, read_checkpoint


class Loud:
    """Would call a function when unpickled."""

    def __reduce__(self):
        return print, ("executed",)


def broken(path, case):
    """Write something that is no checkpoint of ours."""
    if case == "cut":
        torch.save({"state_dict": {"model.linear.weight": torch.zeros(1000)}}, path)
        path.write_bytes(path.read_bytes()[:-700])
    elif case == "empty":
        path.write_bytes(b"")
    elif case == "text":
        path.write_text("no checkpoint")
    elif case == "code":
        torch.save({"state_dict": Loud()}, path)
    elif case == "list":
        torch.save([1, 2], path)
    elif case == "folder":
        path.mkdir()


CASES = ["cut", "empty", "text", "code", "list", "folder", "missing"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_checkpoint_is_one_line_that_names_the_file(case, tmp_path, capsys):
    """Cut off, foreign, missing or with code in it: one message without advice to lower one's guard, nothing is executed."""
    path = tmp_path / "some.ckpt"
    broken(path, case)
    with pytest.raises(PlutoError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert "weights_only" not in text
    assert capsys.readouterr().out == ""


def test_weights_of_another_model_are_named(tmp_path):
    """Missing, unknown and differently shaped weights are counted, the first of them named."""
    path = tmp_path / "other.ckpt"
    model = torch.nn.Linear(3, 2)
    stored = {"model.weight": torch.zeros(2, 4), "model.extra.a": torch.zeros(1), "model.extra.b": torch.zeros(1)}
    torch.save({"state_dict": stored}, path)
    with pytest.raises(PlutoError, match="another model") as caught:
        load_weights(model, path)
    text = str(caught.value)
    assert "bias is missing, extra.a is unknown, extra.b is unknown and 1 more" in text


def test_what_is_not_the_models_is_left_out(tmp_path):
    """Beside the model a checkpoint may hold other modules."""
    path, model = tmp_path / "good.ckpt", torch.nn.Linear(3, 2)
    stored = {f"model.{name}": one + 1 for name, one in model.state_dict().items()} | {"objective.scale": torch.ones(1)}
    torch.save({"state_dict": stored}, path)
    load_weights(model, path)
    assert all(torch.equal(one, stored[f"model.{name}"]) for name, one in model.state_dict().items())


@pytest.mark.parametrize("case", ["cut", "text", "foreign", "weights"])
def test_a_run_whose_last_checkpoint_is_broken_says_what_to_do(case, fit, tmp_path):
    """Training that cannot go on stops before it begins, with one message: which file, why, what to do."""
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    if case == "foreign":
        torch.save({"state_dict": {"model.other.weight": torch.zeros(2)}}, path)
    elif case == "weights":
        torch.save({"state_dict": {"model.linear.weight": torch.zeros(24, 3), "model.linear.bias": torch.zeros(24)}}, path)
    else:
        broken(path, case)
    with pytest.raises(PlutoError, match=r"cannot go on: .*last\.ckpt.*--fresh") as caught:
        fit()
    assert "\n" not in str(caught.value)
