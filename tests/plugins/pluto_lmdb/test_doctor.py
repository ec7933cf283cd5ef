"""What `pluto doctor` says about LMDB."""

from pluto_core.moments import Surroundings
from pluto_lmdb.doctor import examine


def test_a_shard_is_tried(tmp_path):
    """Where it can be kept, nothing stays behind; where it cannot, another store is named."""
    (found,) = examine(Surroundings(environment={}, cache_home=tmp_path))
    assert found.state == "ok"
    assert list(tmp_path.iterdir()) == []
    (found,) = examine(Surroundings(environment={}, cache_home=tmp_path / "absent"))
    assert found.state == "broken"
    assert 'use = "files"' in found.advice
