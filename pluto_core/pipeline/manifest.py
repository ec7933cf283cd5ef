"""`manifest.json`: what a cache folder is, and what its samples were made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core import arrays
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError
from pluto_core.pipeline.durable import write_file
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.places.files import content, parsed

NAME = "manifest.json"
FORMAT = 2


@attrs.frozen(kw_only=True)
class Manifest:
    """What `manifest.json` says."""

    store: str
    """Name of the component that stores the shards."""
    suffix: str
    """File name ending of its shards."""
    fingerprint: Fingerprint

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of all builders that ever wrote into the cache."""
        return tuple(sorted(self.fingerprint.builders))

    def spec(self, tag: str) -> Mapping[str, ArraySpec]:
        """Return the spec of one builder's arrays.

        Raises:
            PlutoError: The cache holds nothing of that builder.
        """
        if tag not in self.fingerprint.builders:
            message = f"the cache holds nothing of builder {tag!r}, only of {', '.join(self.tags) or 'none'}"
            raise PlutoError(message)
        return arrays.from_plain(self.fingerprint.builders[tag]["spec"])

    def write(self, folder: Path) -> None:
        """Write the manifest into a cache folder."""
        plain = {"format": FORMAT, **attrs.asdict(self)}
        write_file(folder / NAME, (json.dumps(plain, indent=1, sort_keys=True) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest of a cache folder.

        Raises:
            PlutoError: There is none, or this program cannot read it.
        """
        path = folder / NAME
        try:
            plain: Any = parsed(content(path))
            known = plain["format"]
        except FileNotFoundError:
            message = f"{folder} is no cache (it has no {NAME}); run the cache step first, or correct cache.path"
            raise PlutoError(message) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{path} cannot be read ({error}); choose another cache.path, or compute the cache anew with --fresh"
            raise PlutoError(message) from None
        if known != FORMAT:
            message = (
                f"the cache {folder} has format {known}, this program reads format {FORMAT}; "
                "use the version that wrote it, choose another cache.path, or compute it anew with --fresh"
            )
            raise PlutoError(message)
        try:
            return cls(store=str(plain["store"]), suffix=str(plain["suffix"]), fingerprint=_fingerprint(plain["fingerprint"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"{path} lacks something ({error}); choose another cache.path, or compute the cache anew with --fresh"
            raise PlutoError(message) from None


def _fingerprint(plain: Mapping[str, Any]) -> Fingerprint:
    """Return a stored fingerprint, whose parts are tables where tables are expected.

    Raises:
        KeyError, TypeError, ValueError: They are not, or lack something.
    """
    found = Fingerprint(**plain)
    tables = [found.builders, found.code, *found.builders.values()]
    for told in found.builders.values():
        tables += [told["config"], told["spec"], *told["spec"].values()]
        _ = told["version"]
    if found.source is not None:
        tables += [found.source, found.source.get("dataset", {})]
    if not all(isinstance(table, dict) for table in tables):
        message = "something that should be a table is none"
        raise ValueError(message)
    return found
