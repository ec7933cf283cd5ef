"""Names of files from names of scenarios: tokens, types and logs come with the data, and may be anything."""

import re
from hashlib import blake2b

_PLAIN = re.compile(r"[A-Za-z0-9_@=+-][A-Za-z0-9_.@=+-]*")
_STRANGE = re.compile(r"[^A-Za-z0-9_.@=+-]")
_LONGEST = 150
"""Characters; endings and words before the name have room beside it in what file systems allow (255 bytes)."""


def file_name(text: str) -> str:
    """Return the name of one file in one folder that stands for a text: the text itself wherever it is a plain name.

    What would lead to another folder, or what a file system refuses, becomes `_`; a hash keeps different texts apart.
    """
    if _PLAIN.fullmatch(text) and len(text) <= _LONGEST:
        return text
    mark = blake2b(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{_STRANGE.sub('_', text)[:_LONGEST].lstrip('.')}_{mark}"


def is_file_name(text: str) -> bool:
    """Return whether a text can be the name of a file or folder inside another one, and does not lead out of it."""
    return 0 < len(text.encode(errors="surrogatepass")) <= 255 and text not in {".", ".."} and not set("/\0") & set(text)  # noqa: PLR2004 -- what file systems allow
