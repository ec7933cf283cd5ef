"""Extras: optional dependencies of a distribution, and which of them are not installed. From metadata, nothing is imported."""

import re
from importlib.metadata import PackageNotFoundError, distribution, requires

from pluto_core.plugins.discovery import Plugin

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*;\s*extra\s*==\s*['\"]([^'\"]+)['\"]\s*$")
"""Name and extra of a requirement that hangs on nothing but an extra."""


def missing_of(distribution_name: str, extra: str | None) -> tuple[str, ...]:
    """Return the packages of an extra that are not installed.

    Args:
        distribution_name: Who declares the extra; where it is not installed itself, nothing is known and nothing returned.
        extra: Name of the extra; None: there is nothing to miss.
    """
    if extra is None or not distribution_name:
        return ()
    try:
        declared = requires(distribution_name) or ()
    except PackageNotFoundError:
        return ()
    matches = [match for match in map(_REQUIREMENT.match, declared) if match is not None]
    return tuple(match[1] for match in matches if match[2] == extra and not _is_installed(match[1]))


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def needs_extra(what: str, plugin: Plugin, extra: str, cause: str) -> str:
    """Return in words that a component needs an extra, and how to install it."""
    home = plugin.distribution or plugin.module
    return f"{what} needs the extra {extra!r}, which is not installed ({cause}): pip install '{home}[{extra}]'"
