"""A small plugin with one component of every kind that an experiment needs: what the tests of files and commands select."""

import enum
from pathlib import Path
from typing import Literal

import attrs

from pluto_core import Component, PlutoError, Requirement, hookimpl, setting
from pluto_core.arrays import ArraySpec
from pluto_core.errors import Mistake


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


def _even(_owner, _attribute, value):
    if value % 2:
        message = "must be even"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class Inner:
    """A nested table."""

    alpha: int = setting(1, "First.")
    beta: float = setting(2.0, "Second, metres.")


@attrs.frozen(kw_only=True)
class SourceConfig:
    """Every type that a setting can have."""

    data_root: str | tuple[str, ...] = setting(help="Where the logs lie.")
    count: int = setting(3, "How many.", minimum=1, maximum=100)
    share: float = setting(0.5, "A share.", above=0, maximum=1)
    even: int = setting(2, "An even number.", validator=_even)
    mode: Literal["fast", "exact"] = setting("fast", "How.")
    colour: Colour = setting(Colour.RED, "Which.")  # noqa: RUF009
    folder: Path | None = setting(None, "Another folder.")  # noqa: RUF009
    inner: Inner = setting(Inner(), "A table.")  # noqa: RUF009
    parts: tuple[Inner, ...] = setting((), "An array of tables.")
    weights: dict[str, float] = attrs.field(factory=dict, metadata={"help": "By name.", "minimum": 0})
    pair: tuple[int, str] = setting((1, "a"), "Two things.")
    limit: int | float | None = setting(None, "A number or a share.")
    flag: bool = setting(default=False, help="Yes or no.")
    unit: str = setting("m", "A unit.", choices=("m", "ft"))


@attrs.frozen(kw_only=True)
class BuilderConfig:
    """Settings of a builder."""

    steps: int = setting(21, "Rows of history.", minimum=1)
    prefix: str = setting("agent", "First part of its keys.")


@attrs.frozen(kw_only=True)
class ModelConfig:
    """Settings of a model."""

    dim: int = setting(64, "Width.", minimum=1)
    needs: tuple[str, ...] = setting(("agent/position",), "Keys that it reads.")
    rows: int = setting(21, "Rows of history that it reads.")


@attrs.frozen(kw_only=True)
class NoConfig:
    """Nothing to set."""


@attrs.frozen(kw_only=True)
class BuggyConfig:
    """A config class whose validator has a bug."""

    size: int = setting(1, "Size.", validator=lambda _owner, _attribute, value: len(value))


@attrs.frozen(kw_only=True)
class StrangeConfig:
    """A config class with a type that no file can hold."""

    number: complex = setting(1j, "Not for files.")


def make(config, context):
    """Return the config and the context themselves."""
    return config, context


def provides(config):
    """Return the arrays of the builder."""
    spec = ArraySpec(dims=("agent", config.steps, 2), dtype="float32", unit="m", frame="ego", summary="Where agents are.")
    return {f"{config.prefix}/position": spec}


def truth(_config):
    """Return the arrays of the target."""
    return {"truth/trajectory": ArraySpec(dims=(80, 3), dtype="float64", unit="m, rad", frame="ego")}


def model_needs(config):
    """Return what the model reads."""
    if config.rows > 1000:
        message = "the model reads at most 1000 rows"
        raise PlutoError(message)
    return Requirement(
        keys=config.needs,
        features=({"use": "toy", "steps": config.rows},),
        targets=({"use": "toy_truth"},),
        dims={"agent/position:1": config.rows},
    )


def mirror_needs(_config):
    """Return what the augmentation reads."""
    return Requirement(keys=("map/position",))


def _part(name, config="NoConfig", **more):
    return Component(name, factory="toy_parts:make", config=f"toy_parts:{config}", summary=f"The part {name}.", **more)


@hookimpl
def pluto_register_sources():
    """Return sources."""
    return [
        _part("toy", "SourceConfig"),
        _part("buggy", "BuggyConfig"),
        _part("strange", "StrangeConfig"),
        Component(
            "remote", factory="no_such_module:make", config="toy_parts:NoConfig", summary="Needs an extra.", extra="remote"
        ),
        _part("narrow", facts={"answers": frozenset({"log_names"})}),
        Component("gone", factory="toy_parts:make", config="toy_parts:Missing", summary="Its config is gone."),
    ]


@hookimpl
def pluto_register_features():
    """Return feature builders."""
    return [_part("toy", "BuilderConfig", provides="toy_parts:provides")]


@hookimpl
def pluto_register_targets():
    """Return target builders."""
    return [_part("toy_truth", provides="toy_parts:truth")]


@hookimpl
def pluto_register_caches():
    """Return caches: the default, and one without settings."""
    return [_part("lmdb", "BuilderConfig"), _part("memory", facts={"shared": False})]


@hookimpl
def pluto_register_splitters():
    """Return the default splitter."""
    return [_part("by_log")]


@hookimpl
def pluto_register_augmentations():
    """Return an augmentation."""
    return [_part("mirror", requires="toy_parts:mirror_needs")]


@hookimpl
def pluto_register_models():
    """Return models, one of them without an objective."""
    return [_part("toy", "ModelConfig", requires="toy_parts:model_needs"), _part("speechless")]


@hookimpl
def pluto_register_objectives():
    """Return the objective of the model."""
    return [_part("toy")]


@hookimpl
def pluto_register_optimizers():
    """Return the default optimizer."""
    return [_part("adamw")]


@hookimpl
def pluto_register_schedules():
    """Return the default schedule."""
    return [_part("warmup_cosine")]


@hookimpl
def pluto_register_trainers():
    """Return the default trainer."""
    return [_part("lightning")]


@hookimpl
def pluto_register_workers():
    """Return the default worker, and one that says of itself that it starts processes."""
    return [_part("sequential"), _part("many", facts={"processes": True})]


@hookimpl
def pluto_register_presets():
    """Return presets: a whole experiment, bare tables, and two that extend one another."""
    names = ("whole", "few", "circle", "round", "broken", "odd")
    return {f"toy-{name}": f"toy_presets:{name}.toml" for name in names}


@hookimpl
def pluto_check_experiment(experiment):
    """Return a mistake where the experiment is called `forbidden`."""
    if experiment.name == "forbidden":
        return [Mistake(str(experiment.path), "name", "this name is taken")]
    return []
