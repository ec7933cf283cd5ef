"""Files of weights: Lightning checkpoints (ours, the published ones), bare state dicts, and what `pluto model import` writes.

Nothing in a file is executed: torch reads it with `weights_only=True`. Published checkpoints also hold settings as objects of
packages that need not be installed; such names are read as objects that do nothing and are dropped.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from pluto_core.errors import PlutoError
from pluto_core.experiment import tomltext
from pluto_core.places.archives import require_plain
from pluto_planner.config import PlutoModelConfig
from pluto_planner.network.planner import PlutoNetwork
from pluto_planner.network.reference import PREFIX, from_reference_state_dict, settings_of, strip_prefix

_STATE = "state_dict"
_EXPERIMENT = "experiment"
"""Where our checkpoints hold the experiment that made them."""
_CONTAINERS: Mapping[str, Callable[..., Any]] = {"collections.defaultdict": lambda *_arguments: {}}
"""What torch fills item by item, which it does only with the plain kinds."""


@attrs.frozen(eq=False)
class Weights:
    """The weights of one file."""

    state: dict[str, Tensor]
    """By the names of the published network."""
    config: PlutoModelConfig
    """Settings of the network that they are for."""

    @property
    def count(self) -> int:
        """Return the number of trained parameters."""
        buffers = ("running_mean", "running_var", "num_batches_tracked")
        return sum(value.numel() for name, value in self.state.items() if not name.endswith(buffers))

    def network(self) -> PlutoNetwork:
        """Return the network, in evaluation mode.

        Raises:
            PlutoError: Names or shapes are not those of a PLUTO network with these settings.
        """
        from_reference_state_dict(self.state)
        network = PlutoNetwork(**network_settings(self.config)).to(self.state["norm.weight"].dtype)
        network.load_state_dict(self.state)
        return network.eval()

    def section(self) -> str:
        """Return the `[model]` table that selects the network: settings that are not the default."""
        lines = ["[model]", 'use = "pluto"']
        for field in attrs.fields(PlutoModelConfig):
            value = getattr(self.config, field.name)
            if value != field.default:
                lines.append(f"{field.name} = {tomltext.write_value(value)}")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write them as a checkpoint without anything else.

        Raises:
            PlutoError: The file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                torch.save({_STATE: {PREFIX + name: value for name, value in self.state.items()}}, stream)
        except OSError as error:
            raise PlutoError(f"{path} cannot be written: {error.strerror}") from None


def read_weights(path: Path) -> Weights:
    """Return the weights of a file, on the CPU.

    Raises:
        PlutoError: It cannot be read, or holds no weights of a PLUTO network.
    """
    stored = _load(path)
    state = stored.get(_STATE, stored)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        message = f"{path} holds no weights: neither a state dict nor a checkpoint with a `{_STATE}`"
        raise PlutoError(message)
    try:
        stripped = strip_prefix(state)
        from_reference_state_dict(stripped)
    except PlutoError as error:
        raise PlutoError(f"{path}: {error}") from None
    try:
        return Weights(stripped, _config(stripped, stored.get(_EXPERIMENT)))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise PlutoError(f"{path}: what it says of its model cannot be: {error}") from None


def network_settings(config: PlutoModelConfig) -> dict[str, Any]:
    """Return what the network takes of the model's settings."""
    settings = attrs.asdict(config)
    for name in ("interval_s", "weights"):
        del settings[name]
    return settings


def _config(state: Mapping[str, Tensor], experiment: Any) -> PlutoModelConfig:
    """Return the settings: of our experiment where the file holds one, else those that names and shapes tell."""
    if isinstance(experiment, str):
        told = tomltext.loads(experiment).get("model", {})
        known = {field.name for field in attrs.fields(PlutoModelConfig)} - {"weights"}
        if told.get("use") == "pluto":
            return PlutoModelConfig(**{name: value for name, value in told.items() if name in known})
    told = settings_of(state)
    del told["state_channel"]
    return PlutoModelConfig(**told)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        require_plain(path)
        with _unknown_names_inert(path):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PlutoError(f"there is no file {path}") from None
    except OSError as error:
        raise PlutoError(f"the weights {path} cannot be read: {error.strerror or error}") from None
    except PlutoError as error:
        raise PlutoError(f"{error}; weights are an archive as torch writes it since 1.6, not compressed") from None
    except Exception as error:
        # The text of torch's error advises to switch the protection off, which must never be done.
        message = f"{path} cannot be read as weights: it is damaged, or holds what runs code when it is read"
        raise PlutoError(message) from error
    if not isinstance(stored, Mapping):
        message = f"{path} holds {type(stored).__name__}, not weights by name"
        raise PlutoError(message)
    return stored


@contextlib.contextmanager
def _unknown_names_inert(path: Path) -> Iterator[None]:
    """Let torch read what a file names and torch does not know as objects that do nothing; torch before 2.6 refuses them."""
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        yield
        return
    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    inert: list[Any] = [(_CONTAINERS.get(name) or type("Inert", (_Inert,), {}), name) for name in unknown]
    with torch.serialization.safe_globals(inert):
        yield


class _Inert:
    """Stands in for whatever a file names: takes everything, does nothing."""

    def __new__(cls, *_arguments: Any, **_options: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        """Take nothing over."""

    def __setstate__(self, _state: Any) -> None:
        """Take nothing over."""
