"""The package of a new plugin, from templates."""

import importlib.util
import re
import string
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pluto_core import __version__
from pluto_core.errors import PlutoError
from pluto_core.kinds import BY_SECTION

if TYPE_CHECKING:
    from pluto_core.plugins import Catalogue

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_LONGEST = 30
_PREFIX = "pluto_"
_OFFERS = {"features": "a feature builder", "model": "a variant of PLUTO's model"}
_COMMON = {
    "pyproject.toml": "plugin/pyproject.toml",
    "README.md": "plugin/README.md",
    ".gitignore": "plugin/gitignore",
    "src/$package/__init__.py": "plugin/init.py",
    "src/$package/hooks.py": "$kind/hooks.py",
    "src/$package/config.py": "$kind/config.py",
    "tests/test_plugin.py": "$kind/test_plugin.py",
    "experiment.toml": "$kind/experiment.toml",
}
"""Template of each file."""
_OWN = {
    "features": {"src/$package/schema.py": "$kind/schema.py", "src/$package/builder.py": "$kind/builder.py"},
    "model": {"src/$package/model.py": "$kind/model.py"},
}


def write_package(name: str, kind: str, folder: Path, catalogue: "Catalogue") -> tuple[Path, int]:
    """Write the package of a plugin, and return its folder and the number of files.

    Args:
        name: Of the component; `pluto_` and `pluto-` in front of it are understood.
        kind: Section of the component: `features` or `model`.
        folder: Where the package's folder is made.
        catalogue: The plugins that there are, whose names are taken.

    Raises:
        PlutoError: The name is none, or taken; the folder exists, or cannot be written.
    """
    component = component_name(name)
    package = f"{_PREFIX}{component}"
    _refuse_taken(component, package, kind, catalogue)
    root = folder / package.replace("_", "-")
    if root.exists():
        raise PlutoError(f"{root} exists; nothing was written. Choose another name, or another folder with --to")
    words = {"name": component, "package": package, "distribution": root.name, "offer": _OFFERS[kind], "framework": __version__}
    texts = dict(_texts(kind, words))
    try:
        for path, text in texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlutoError(f"cannot write {error.filename or root}: {error.strerror or error}") from error
    return root, len(texts)


def component_name(name: str) -> str:
    """Return the name of the component that a plugin's name stands for.

    Raises:
        PlutoError: It is no name.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise PlutoError(
            f"{name!r} is no name for a plugin; use up to {_LONGEST} of a-z, 0-9, - and _, a letter first, such as 'lanes'"
        )
    bare = name.replace("-", "_").removeprefix(_PREFIX)
    if not bare[0].isalpha():
        raise PlutoError(f"{name!r} is no name for a plugin; after 'pluto' comes a letter")
    return bare


def _refuse_taken(component: str, package: str, kind: str, catalogue: "Catalogue") -> None:
    names = BY_SECTION[kind].name
    if catalogue.has(names, component):
        raise PlutoError(f"there is a component {kind}.{component} of plugin {catalogue.plugin_of(names, component)} already")
    taken = {plugin.name for plugin in catalogue.plugins} | catalogue.broken.keys()
    if component in taken:
        raise PlutoError(f"there is a plugin called {component!r} already; see `pluto plugins`")
    if importlib.util.find_spec(package) is not None:
        raise PlutoError(f"there is a Python package called {package!r} already")


def _texts(kind: str, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of every file."""
    words = {**words, "kind": kind}
    words["files"] = _filled(f"{kind}/files", words).rstrip("\n")
    for path, template in {**_COMMON, **_OWN[kind]}.items():
        yield string.Template(path).substitute(words), _filled(string.Template(template).substitute(words), words)
    yield string.Template("src/$package/py.typed").substitute(words), ""


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = files("pluto_core.cli").joinpath("templates", *f"{template}.txt".split("/")).read_text("utf-8")
    return string.Template(text).substitute(words)
