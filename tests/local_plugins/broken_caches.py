"""Shard stores, each with one defect: one file a shard, a line a value."""

import os
import sys
import threading

import attrs
from broken_parts import caught_by, components

from pluto_core import PlutoError, hookimpl

_MAGIC = "pluto-lines"


class Lines:
    """Keeps a shard as a text file of a line a value, written value by value; without a defect."""

    shared = True
    suffix = ".lines"
    writer = None

    def __init__(self, *_):
        pass

    def create(self, path):
        """Return a new shard."""
        with path.open("x") as file:
            file.write(f"{_MAGIC}\n")
        return LineShard(path)

    def open(self, path):
        """Return a shard, of which a last line that is not whole is left out."""
        try:
            text = path.read_text()
        except OSError as error:
            message = f"there is no shard {path}"
            raise PlutoError(message) from error
        head, *lines = text.split("\n")
        if head != _MAGIC:
            message = f"{path} is no shard"
            raise PlutoError(message)
        pairs = (line.partition(":") for line in lines[:-1])
        return self.reader({bytes.fromhex(key): bytes.fromhex(value) for key, _, value in pairs})

    def reader(self, values):
        """Return a reader of values."""
        return LineReader(values)


@attrs.define
class LineShard:
    """A shard being written."""

    path: object

    def put(self, key, value):
        """Add a line."""
        with self.path.open("a") as file:
            file.write(f"{key.hex()}:{value.hex()}\n")

    def seal(self):
        """Do nothing."""


@attrs.define
class LineReader:
    """A shard to read."""

    values: dict

    def keys(self):
        """Return all keys, ascending."""
        return sorted(self.values)

    def get(self, key):
        """Return a value."""
        return self.values[key]

    def get_many(self, keys):
        """Return values in the order of `keys`."""
        return [self.get(key) for key in keys]

    def close(self):
        """Do nothing."""


class _Reads(Lines):
    """A store whose readers have a defect."""

    def reader(self, values):
        """Return a reader of the class's own kind."""
        return self.Reader(values)


@caught_by("test_keeps_the_protocol")
class Unnamed(Lines):
    """Has no files, and lets others open them."""

    suffix = ""


@caught_by("test_round_trip", "test_empty_value_and_big_value")
class Dropping(_Reads):
    """Takes an empty value for none."""

    class Reader(LineReader):
        """Knows no empty values."""

        def keys(self):
            """Return the keys of values that are not empty."""
            return sorted(key for key, value in self.values.items() if value)


@caught_by("test_missing_key")
class Generous(_Reads):
    """Gives nothing instead of saying that there is nothing."""

    class Reader(LineReader):
        """Finds everything."""

        def get(self, key):
            """Return an empty value for an unknown key."""
            return self.values.get(key, b"")


@caught_by("test_keys_are_ascending")
class Unsorted(_Reads):
    """Lists keys as they were put."""

    class Reader(LineReader):
        """Does not sort."""

        def keys(self):
            """Return keys in the order of the file."""
            return list(self.values)


@caught_by("test_many_come_in_the_order_asked_for")
class Orderly(_Reads):
    """Gives many values in its own order."""

    class Reader(LineReader):
        """Sorts too much."""

        def get_many(self, keys):
            """Return values by key, each once."""
            if set(keys) - self.values.keys():
                raise KeyError(keys)
            return [self.values[key] for key in sorted(set(keys))]


@caught_by("test_empty_shard")
class Demanding(Lines):
    """Refuses a shard without values."""

    def reader(self, values):
        """Return a reader of one value or more."""
        if not values:
            message = "the shard is empty"
            raise PlutoError(message)
        return super().reader(values)


@caught_by("test_nothing_is_overwritten")
class Overwriting(Lines):
    """Makes a shard where there is one."""

    def create(self, path):
        """Return a new shard in place of the old one."""
        path.unlink(missing_ok=True)
        return super().create(path)


@caught_by("test_what_is_no_shard_is_refused")
class Trusting(Lines):
    """Takes any file for a shard."""

    def open(self, path):
        """Return a reader of nothing where there is no shard."""
        try:
            return super().open(path)
        except PlutoError:
            return self.reader({})


@caught_by("test_closing", "test_two_readers")
class Clingy(_Reads):
    """Cannot be closed twice, and closes for all."""

    open_readers = 0

    class Reader(LineReader):
        """Empties what all readers share."""

        def close(self):
            """Take the values away."""
            for key in list(self.values):
                del self.values[key]
            if not self.values:
                self.values = None

    def open(self, path):
        """Return a reader of shared values."""
        self._kept = getattr(self, "_kept", None) or super().open(path)
        return self.Reader(self._kept.values)


@caught_by("test_readers_in_threads")
class Loner(Lines):
    """Opens shards in the thread alone that opened the first."""

    def open(self, path):
        """Return a shard, where this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            message = "not in this thread"
            raise RuntimeError(message)
        return super().open(path)


@caught_by("test_reader_in_another_process")
class Homebound(Lines):
    """Says that others can open its shards."""

    made = os.getpid()

    def open(self, path):
        """Return a shard, where this process sealed it."""
        if path.with_suffix(f".{os.getpid()}").exists():
            return super().open(path)
        message = "made elsewhere"
        raise PlutoError(message)

    def create(self, path):
        """Return a new shard, and leave the process's mark beside it."""
        path.with_suffix(f".{os.getpid()}").touch()
        return super().create(path)


@caught_by("test_sealed_shard_survives_a_move")
class Rooted(Lines):
    """Writes where a shard lies into the shard."""

    def create(self, path):
        """Return a new shard that knows its place."""
        shard = super().create(path)
        shard.put(b"place", str(path).encode())
        return shard

    def open(self, path):
        """Return a shard that was not moved."""
        values = super().open(path).values
        if values.pop(b"place", b"") != str(path).encode():
            message = "moved"
            raise PlutoError(message)
        return self.reader(values)


@caught_by("test_killed_writer")
class Hoarding(Lines):
    """Keeps values in memory until the shard is sealed."""

    def create(self, path):
        """Return a new shard."""
        return HoardingShard(super().create(path))


@attrs.define
class HoardingShard:
    """Writes at the end."""

    shard: LineShard
    values: dict = attrs.field(factory=dict)

    def put(self, key, value):
        """Remember a value."""
        self.values[key] = value

    def seal(self):
        """Write all values."""
        for key, value in self.values.items():
            self.shard.put(key, value)


@caught_by("test_facts_are_true")
class Boasting(Lines):
    """Says that nobody else can open its shards."""

    more = {"facts": {"shared": False}}  # noqa: RUF012


@hookimpl
def pluto_register_caches():
    """Return all of them."""
    return components(sys.modules[__name__])
