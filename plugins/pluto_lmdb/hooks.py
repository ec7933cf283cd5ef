"""What the LMDB plugin offers."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_caches() -> list[Component]:
    """Return the shard store `lmdb`."""
    return [
        Component(
            "lmdb",
            factory="pluto_lmdb.shard:make",
            config="pluto_lmdb.config:LmdbConfig",
            facts={"shared": True},
            summary="Memory-mapped shards of some thousand samples each; the default.",
        )
    ]


@hookimpl
def pluto_doctor_checks() -> dict[str, str]:
    """Return what `pluto doctor` looks at."""
    return {"LMDB": "pluto_lmdb.doctor:examine"}
