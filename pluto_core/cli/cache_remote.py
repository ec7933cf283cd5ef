"""`pluto cache export` and `import` on URLs."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluto_core.cli.bars import bar
from pluto_core.errors import PlutoError

if TYPE_CHECKING:
    from pluto_core.pipeline.folder import CacheFolder


def path_or_url(text: str) -> Path | str:
    """Return a URL as it is, without its last slash, anything else as a path."""
    from pluto_core.places.remote import is_url

    return text.rstrip("/") if is_url(text) else Path(text)


def push(folder: "CacheFolder", url: str) -> dict[str, Any]:
    """Push a cache, and tell what was moved."""
    from pluto_core.pipeline import transport

    with bar("export") as show:
        done = transport.push(folder, url, progress=show)
    return _told(str(folder.path), url, folder.name, done)


def pull(url: str, target: Path, use: str | None, make: "Callable[[Path, str], CacheFolder]") -> dict[str, Any]:
    """Pull a cache, and tell what was moved; into another store than it was pushed from by way of a folder beside `target`.

    Args:
        url: Where it was pushed to.
        target: The cache to pull into.
        use: How that one is to be stored; None: as it is stored there.
        make: Makes a cache folder of a path and a store.
    """
    from pluto_core.pipeline import copying, transport
    from pluto_core.pipeline.durable import explained
    from pluto_core.pipeline.maintenance import store_name

    there = transport.store_at(url)
    wanted = use or (store_name(target) if (target / "manifest.json").exists() else there)
    with explained(target), bar("import") as show:
        if wanted == there:
            return _told(url, str(target), wanted, transport.pull(url, make(target, wanted), progress=show))
        copy = make(target, wanted)
        if not copy.store.suffix:
            message = f"a cache in {copy.name!r} ends with its process; name another store with --use"
            raise PlutoError(message)
        beside = target.with_name(f".{target.name}.pulled")
        source = make(beside, there)
        done = transport.pull(url, source, progress=show)
        copying.copy(source, copy, progress=show)
        shutil.rmtree(beside)
        return _told(url, str(target), wanted, done)


def moved(told: Mapping[str, Any]) -> str:
    """Return in words what was moved."""
    from pluto_core.run.display import size_of

    there = f"; {told['there']:,} were there" if told["there"] else ""
    return f"{told['files']:,} files ({size_of(told['bytes'])}) from {told['path']} to {told['to']} ({told['store']}){there}"


def _told(path: str, to: str, store: str, done: Any) -> dict[str, Any]:
    return {"path": path, "to": to, "store": store, "files": done.files, "bytes": done.bytes, "there": done.there}
