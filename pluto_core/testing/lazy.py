"""Names of a package that load when they are asked for, their assertions explained by pytest."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from pluto_core.component import load


def suites(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Args:
        package: Its name.
        places: Module inside the package, by the name that it offers.
    """

    def attribute(name: str) -> Any:
        if name not in places:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        module = f"{package}.{places[name]}"
        if name.endswith("Suite") and module not in sys.modules:
            load("pytest:register_assert_rewrite")(module)
        return load(f"{module}:{name}")

    return attribute
