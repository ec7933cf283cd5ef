import collections
import contextlib
import enum
import os
import pathlib
import sys
import types

import pytest
import torch

from pluto_core.cli import main
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_planner import commands
from pluto_planner.config import PlutoModelConfig
from pluto_planner.model import make
from pluto_planner.network import PlutoNetwork
from pluto_planner.weights import network_settings, read_weights

CONFIG = PlutoModelConfig(dim=16, num_heads=4, encoder_depth=1, decoder_depth=2, num_modes=3, cat_x=True)


@pytest.fixture(scope="module")
def state():
    """Return the state dict of a small network."""
    return PlutoNetwork(**network_settings(CONFIG)).state_dict()


def prefixed(state):
    """Return the entries as a Lightning checkpoint names them."""
    return {f"model.{name}": value for name, value in state.items()}


def same(found, state):
    """Tell whether two state dicts are equal to the last bit."""
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("wrap", [dict, prefixed, lambda x: {"state_dict": prefixed(x)}, lambda x: {"state_dict": dict(x)}])
def test_weights_are_found_in_files_of_all_kinds(state, wrap, tmp_path):
    """Bare or inside a checkpoint, with the prefix of Lightning or without; the settings follow from names and shapes."""
    torch.save(wrap(state), tmp_path / "weights.pt")
    weights = read_weights(tmp_path / "weights.pt")
    assert same(weights.state, state)
    assert weights.config == CONFIG
    network = weights.network()
    assert not network.training
    assert weights.count == sum(parameter.numel() for parameter in network.parameters())


def foreign(monkeypatch):
    """Return objects of a package that whoever reads the file does not have."""
    module = types.ModuleType("faraway")

    class Settings:
        def __init__(self, value):
            self.value = value

    class Kind(enum.Enum):
        ONE = 1

    for one in (Settings, Kind):
        one.__module__, one.__qualname__ = "faraway", one.__name__
        setattr(module, one.__name__, one)
    monkeypatch.setitem(sys.modules, "faraway", module)
    return {
        "settings": Settings({"a": [1, 2]}),
        "kind": Kind.ONE,
        "path": pathlib.PurePosixPath("/a/b"),
        "lists": collections.defaultdict(list, {"x": [1]}),
        "type": Settings,
    }


def test_objects_of_absent_packages_are_passed_over(state, tmp_path, monkeypatch):
    """A published checkpoint also holds settings as objects; they are neither needed nor made."""
    with monkeypatch.context() as there:
        torch.save({"state_dict": prefixed(state), "hyper_parameters": foreign(there)}, tmp_path / "theirs.ckpt")
    assert "faraway" not in sys.modules
    assert same(read_weights(tmp_path / "theirs.ckpt").state, state)
    assert "faraway" not in sys.modules


class Spoilt:
    """What runs a command when pickle reads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


class Opened(Spoilt):
    """The same by a function of Python's own."""

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", [Spoilt, Opened])
def test_nothing_in_a_file_is_executed(state, kind, tmp_path):
    """Code in a file does not run, whether the file is then refused or read."""
    trap = tmp_path / "trap"
    torch.save({"state_dict": prefixed(state), "extra": kind(trap)}, tmp_path / "evil.ckpt")
    with contextlib.suppress(PlutoError):
        assert same(read_weights(tmp_path / "evil.ckpt").state, state)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"state_dict": {"a": 1}}, "holds no weights"),
        ([1, 2], "holds list, not weights by name"),
        ({"a": torch.ones(1)}, "this is no PLUTO network"),
    ],
)
def test_other_files_are_refused(content, text, tmp_path):
    """The message names the file and what it holds."""
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(PlutoError, match=text) as caught:
        read_weights(tmp_path / "other.pt")
    assert "other.pt" in str(caught.value)


def test_unreadable_files_are_refused(tmp_path):
    """Neither a missing file nor a text is read."""
    with pytest.raises(PlutoError, match="there is no file"):
        read_weights(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(PlutoError, match="no archive at all"):
        read_weights(tmp_path / "text.pt")


def test_a_checkpoint_of_ours_says_what_names_cannot(state, tmp_path):
    """Heads and noise leave no trace in weights; the experiment beside them tells both."""
    text = (
        '[model]\nuse = "pluto"\ndim = 16\nnum_heads = 2\nencoder_depth = 1\ndecoder_depth = 2\nnum_modes = 3\ncat_x = true\n'
    )
    torch.save({"state_dict": prefixed(state), "experiment": text}, tmp_path / "ours.ckpt")
    weights = read_weights(tmp_path / "ours.ckpt")
    assert weights.config.num_heads == 2
    assert weights.network().encoder_blocks[0].attn.num_heads == 2


def test_imported_weights_begin_a_model(state, tmp_path, capsys):
    """`pluto model import` prints the table that selects the network, and `weights` fills it."""
    torch.save({"state_dict": prefixed(state), "epoch": 3}, tmp_path / "theirs.ckpt")
    target = tmp_path / "new" / "ours.pt"
    assert main.outcome(["model", "import", str(tmp_path / "theirs.ckpt"), "--to", str(target)]) == 0
    said = capsys.readouterr()
    assert said.out.split("\n")[:3] == ["[model]", 'use = "pluto"', "dim = 16"]
    assert "cat_x = true" in said.out
    stored = torch.load(target, weights_only=True)
    assert list(stored) == ["state_dict"]
    assert same(stored["state_dict"], prefixed(state))
    model = make(PlutoModelConfig(**network_settings(CONFIG), weights=str(target)), Context())
    assert same(model.state_dict(), state)


def test_weights_of_another_network_do_not_begin_a_model(state, tmp_path):
    """The message says what differs and which settings would fit."""
    torch.save(dict(state), tmp_path / "w.pt")
    with pytest.raises(PlutoError, match=r"unexpected planning_decoder\.cat_x_proj") as caught:
        make(PlutoModelConfig(dim=16, encoder_depth=1, decoder_depth=2, num_modes=3, weights=str(tmp_path / "w.pt")), Context())
    assert "cat_x = true" in str(caught.value)


def test_export_names_the_extra_that_it_needs(monkeypatch, capsys):
    """Without the packages that write ONNX, one line says what to install."""
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert main.outcome(["model", "export", "any.ckpt", "--onnx", "any.onnx"]) == 1
    assert "needs onnxscript: pip install 'pluto-framework[onnx]'" in capsys.readouterr().err
