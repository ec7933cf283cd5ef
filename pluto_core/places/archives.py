"""Archives that hold what they say in as many bytes: a compressed one of a megabyte may unpack to gigabytes."""

import zipfile
from pathlib import Path

from pluto_core.errors import PlutoError
from pluto_core.places.files import opened


def require_plain(path: Path) -> None:
    """Prove that a file is a zip archive whose members are stored as they are, each for itself.

    Raises:
        PlutoError: It is none; the message does not say of what the archive is.
        OSError: It cannot be opened, or is no regular file.
    """
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            size = file.seek(0, 2)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise PlutoError(f"{path} is cut off, or no archive at all: {error}") from None
    packed = [one.filename for one in members if one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size]
    if packed:
        raise PlutoError(f"{path} holds {packed[0]!r} compressed, and could unpack to anything")
    if sum(one.file_size for one in members) > size:
        raise PlutoError(f"{path} says that it holds more than its {size:,} bytes")
