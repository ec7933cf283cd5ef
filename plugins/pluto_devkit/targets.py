"""Objects from tables: `_target_` names what to call, everything else is an argument, as in Hydra."""

from collections.abc import Mapping
from typing import Any

from pluto_core.component import load
from pluto_core.errors import PlutoError

TARGET = "_target_"
_OF_HYDRA = frozenset({"_convert_", "_recursive_"})
"""Keys that tell Hydra how to hand its own containers over; there are none here."""


def made(value: Any) -> Any:
    """Return a value with every table that has a `_target_` replaced by what that returns, innermost first.

    Raises:
        PlutoError: A target does not exist, or refuses its arguments.
    """
    if isinstance(value, Mapping):
        inner = {key: made(item) for key, item in value.items() if key not in _OF_HYDRA}
        return call(str(inner.pop(TARGET)), inner) if TARGET in inner else inner
    return [made(item) for item in value] if isinstance(value, list | tuple) else value


def call(target: str, arguments: Mapping[str, Any]) -> Any:
    """Return what a target gives for some arguments.

    Args:
        target: `package.module:name`, or `package.module.name` as Hydra writes it.
        arguments: By name; tables with `_target_` among them become objects first.

    Raises:
        PlutoError: The target does not exist or cannot be imported, or refuses its arguments.
    """
    module, dot, name = target.rpartition(".")
    place = target if ":" in target or not dot else f"{module}:{name}"
    try:
        function = load(place)
    except ImportError as error:
        message = f"{target} cannot be imported: {error}"
        if (error.name or "").partition(".")[0] == "nuplan":
            message += "; install nuplan-devkit (docs/coming-from-nuplan-devkit.md says how)"
        raise PlutoError(message) from None
    given = made({key: item for key, item in arguments.items() if key != TARGET})
    try:
        return function(**given)
    except TypeError as error:
        raise PlutoError(f"{target} refuses its arguments {', '.join(given) or '(none)'}: {error}") from error
