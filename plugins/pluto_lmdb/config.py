"""What the LMDB store takes."""

import attrs

from pluto_core import setting


@attrs.frozen(kw_only=True)
class LmdbConfig:
    """LMDB shards: one file for some thousand samples."""

    readahead: bool = setting(
        default=True, help="Let the kernel read ahead; false where the cache is far larger than memory and samples are small."
    )
    open_shards: int = setting(default=64, help="Shards that one process keeps open at a time.", minimum=1)
