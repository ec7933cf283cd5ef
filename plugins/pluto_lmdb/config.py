"""What the LMDB store takes."""

import attrs

from pluto_core import setting


@attrs.frozen(kw_only=True)
class LmdbConfig:
    """LMDB shards: one file for some thousand samples."""

    readahead: bool = setting(
        default=True, help="Let the kernel read ahead; false where the cache is far larger than memory and samples are small."
    )
    open_shards: int = setting(
        default=500,
        help="Shards that one process keeps open at a time, and at most half of the files that the system lets it open.",
        minimum=1,
    )
