"""Folders and files behind URLs (`s3://bucket/folder`), as far as pluto reads and writes them.

Whatever fsspec knows is understood; fsspec itself is imported when the first URL is used. Settings of a file system (an
endpoint, credentials) are fsspec's own: environment variables and configuration files.
"""

import datetime as dt
import errno
import fnmatch
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import attrs

from pluto_core.component import load
from pluto_core.errors import PlutoError
from pluto_core.places import user_path
from pluto_core.places.copies import Copies

Result = TypeVar("Result")

DELAYS_S = (0.5, 1.0, 2.0, 4.0)
"""Waits between attempts; a third more or less, so that many workers do not come back at once."""
_TAGS = ("ETag", "etag", "md5", "contentHash", "mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""What file systems call the mark of a file's content or the time of its change, best first."""
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, NotImplementedError)


def is_url(text: str | Path) -> bool:
    """Return whether a text names a place by URL: a scheme, a colon, two slashes."""
    scheme, mark, _ = str(text).partition("://")
    return bool(mark) and scheme.replace("+", "").isalnum() and len(scheme) > 1


def _trimmed(url: str) -> str:
    return url.rstrip("/")


@attrs.frozen(kw_only=True)
class RemotePath:
    """A folder or file behind a URL; the part of `pathlib.Path` that finding data needs, and a local copy of a file.

    What `iterdir` and `glob` give knows its size already; other paths ask when they are asked.
    """

    url: str = attrs.field(converter=_trimmed)
    copies: Copies = attrs.field(eq=False)
    size: int | None = attrs.field(default=None, eq=False)
    """Bytes, where this is a file that was listed."""
    tag: str = ""
    """Changes when the content does."""
    folder: bool | None = attrs.field(default=None, eq=False)
    """Whether this is a folder; None: not known yet."""

    def __str__(self) -> str:
        """Return the URL."""
        return self.url

    def __truediv__(self, part: str) -> "RemotePath":
        """Return a path below."""
        return RemotePath(url=f"{self.url}/{part}" if part else self.url, copies=self.copies)

    @property
    def name(self) -> str:
        """Return the last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Return the last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parents(self) -> "tuple[RemotePath, ...]":
        """Return the folders above, nearest first; the bucket is the last."""
        scheme, _, rest = self.url.partition("://")
        parts = rest.split("/")
        kept = [parts[:count] for count in range(len(parts) - 1, 0, -1)]
        return tuple(RemotePath(url=f"{scheme}://{'/'.join(one)}", copies=self.copies) for one in kept if one != [""])

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts between slashes."""
        return tuple(self.url.split("/"))

    def is_dir(self) -> bool:
        """Return whether there is such a folder; one with nothing in it may count as absent."""
        return bool(self.folder) if self.folder is not None else self.known().folder is True

    def is_file(self) -> bool:
        """Return whether there is such a file."""
        return not self.folder if self.folder is not None else self.known().folder is False

    def iterdir(self) -> "Iterator[RemotePath]":
        """Yield what a folder holds, by name.

        Raises:
            PlutoError: It cannot be listed.
        """
        found = sorted(self._listed().items())
        for name, about in found:
            yield self._known(f"{self.url}/{name}", about)

    def glob(self, pattern: str) -> "Iterator[RemotePath]":
        """Yield the files and folders that a pattern such as `*/*/map.gpkg` matches, by name; wildcards stay within a part."""
        first, _, rest = pattern.partition("/")
        wild = set(first) & set("*?[")
        found = [one for one in self.iterdir() if fnmatch.fnmatchcase(one.name, first)] if wild else [self / first]
        for one in found:
            if rest:
                if one.folder is not False:
                    yield from one.glob(rest)
            elif wild or one.is_file() or one.is_dir():
                yield one if one.folder is not None else one.known()

    def local(self) -> Path:
        """Return a local copy of the file, fetched now unless it is there.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: It cannot be fetched, or not be kept.
        """
        file = self if self.size is not None else self.known()
        if file.folder is not False or file.size is None:
            raise FileNotFoundError(2, "there is no such file", self.url)
        size, url = file.size, self.url

        def fetch(part: Path) -> None:
            _get(url, part, size)
            got = part.stat().st_size
            if got != size:
                message = f"{got:,} of {size:,} bytes of {url} arrived; did it change? Start again"
                raise OSError(message)

        return self.copies.get(url, size, file.tag, lambda part: _attempts(lambda: fetch(part)))

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content of a small file."""
        return self.local().read_text(encoding=encoding)

    def known(self) -> "RemotePath":
        """Return this path with what its file system knows of it; `folder` stays None where there is no such thing."""
        try:
            system, path = _system(self.url)
            system.invalidate_cache()
            return self._known(self.url, _attempts(lambda: system.info(path)))
        except FileNotFoundError:
            return self
        except (OSError, ValueError) as error:
            raise PlutoError(_refused(self.url, error)) from error

    def _listed(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            system, path = _system(self.url)
            system.invalidate_cache()
            rows = _attempts(lambda: system.ls(path, detail=True))
        except (OSError, ValueError) as error:
            raise PlutoError(_refused(self.url, error)) from error
        named = ((row["name"].rstrip("/").rpartition("/")[2], row) for row in rows if row["name"].strip("/") != path.strip("/"))
        return dict(named)

    def _known(self, url: str, about: Mapping[str, Any]) -> "RemotePath":
        folder = about["type"] == "directory"
        size = None if folder or about.get("size") is None else int(about["size"])
        return RemotePath(url=url, copies=self.copies, size=size, tag="" if folder else _tag(about), folder=folder)


Place = Path | RemotePath
"""Where something is: here, or behind a URL."""


def place(text: str | Path, copies: Copies) -> Place:
    """Return the place that a setting names: a URL, or a path in which `~` is the home folder."""
    return RemotePath(url=str(text), copies=copies) if is_url(text) else user_path(text)


def local(where: Place) -> Path:
    """Return the file itself, or a local copy of it.

    Raises:
        OSError: It cannot be fetched.
    """
    return where.local() if isinstance(where, RemotePath) else where


def heads(paths: Sequence[RemotePath], count: int) -> list[bytes]:
    """Return the first bytes of many remote files, asked for at once.

    Raises:
        PlutoError: One of them cannot be read.
    """
    found: list[bytes] = []
    for _, group in itertools.groupby(paths, key=lambda one: one.parts[:3]):
        urls = [one.url for one in group]
        try:
            system, inside = _system(urls[0])[0], [_system(url)[1] for url in urls]
            ends = [count] * len(urls)
            found += map(bytes, _attempts(partial(system.cat_ranges, inside, [0] * len(urls), ends, on_error="raise")))
        except (OSError, ValueError) as error:
            raise PlutoError(_refused(urls[0], error)) from error
    return found


def upload(path: Path, url: str) -> None:
    """Put a file at a URL, over what is there.

    Raises:
        PlutoError: It cannot be written.
    """
    try:
        system, inside = _system(url)
        _attempts(lambda: system.makedirs(inside.rpartition("/")[0], exist_ok=True))
        _attempts(lambda: system.put_file(str(path), inside))
    except (OSError, ValueError) as error:
        raise PlutoError(_refused(url, error)) from error


def download(url: str, path: Path, most: int) -> None:
    """Fetch a file of at most `most` bytes into `path`; not atomic, no copy is kept elsewhere.

    Raises:
        PlutoError: It cannot be fetched, or is larger.
    """
    try:
        _attempts(lambda: _get(url, path, most))
    except _TooLongError as error:
        raise PlutoError(f"{url}: {error.strerror}") from None
    except (OSError, ValueError) as error:
        raise PlutoError(_refused(url, error)) from error


def _get(url: str, path: Path, most: int) -> None:
    """Fetch a file, and stop where a server sends more than it said, or than is expected."""

    def refuse(_size: int | None, value: int, **_more: Any) -> None:
        if value > most:
            raise _TooLongError(errno.EFBIG, f"more than {most:,} bytes arrived; did it change meanwhile? Start again", url)

    system, inside = _system(url)
    system.get_file(inside, str(path), callback=load("fsspec.callbacks:Callback")(hooks={"limit": refuse}))


class _TooLongError(OSError):
    """More came than was expected; asking again would bring as much."""


def _system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, made anew after a fork, and the path in it.

    Raises:
        PlutoError: What the scheme needs is not installed, or nobody knows it.
    """
    try:
        found: tuple[Any, str] = load("fsspec.core:url_to_fs")(url)
    except (ImportError, ValueError) as error:
        advice = "pip install 'pluto-framework[remote]'; other schemes than s3:// need a package of their own"
        raise PlutoError(f"{url}: {error}; {advice}") from error
    return found


def _attempts(action: Callable[[], Result]) -> Result:
    """Return what an action gives; what may pass (a lost connection, a server that is busy) is tried again.

    Raises:
        OSError: It failed to the last.
    """
    for delay_s in DELAYS_S:
        try:
            return action()
        except (*_FINAL, _TooLongError):
            raise
        except Exception:  # noqa: BLE001 -- each file system has errors of its own for a network that fails
            time.sleep(delay_s * random.uniform(2 / 3, 4 / 3))  # noqa: S311 -- only to spread the load
    try:
        return action()
    except (*_FINAL, OSError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _tag(about: Mapping[str, Any]) -> str:
    found = next((about[name] for name in _TAGS if about.get(name) is not None), "")
    if isinstance(found, dt.datetime):
        found = found.timestamp()
    return str(found)


def _refused(url: str, error: Exception) -> str:
    cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{url} cannot be reached ({cause}); correct it, or the credentials and endpoint of your storage"
