"""What the worker on a Ray cluster takes."""

import re

import attrs

from pluto_core import PlutoError, setting

_GIVEN = re.compile(r"(ray://)?[^\s/:]+:[0-9]+|(ray://)?\[[0-9a-fA-F:]+\]:[0-9]+")
_BUILT_IN = ("CPU", "GPU", "memory", "object_store_memory")


@attrs.frozen(kw_only=True)
class RayConfig:
    """Sessions in actors of a Ray cluster. A scenario at which an actor is lost is tried once more, in another one."""

    address: str = setting(
        "local",
        "`local` starts a cluster of this machine alone, for this run; `auto` takes the one that runs here; HOST:PORT or "
        "ray://HOST:PORT another one.",
    )
    count: int = setting(0, "How many sessions at a time; 0: as many as the cluster has room for.", minimum=0)
    cpus: float = setting(1.0, "Cores that each session reserves.", above=0)
    memory_mb: float | None = setting(
        None,
        "Memory that each session reserves; one that holds more after a scenario seals what it wrote and is replaced; unset: "
        "nothing is reserved, and any amount may be held.",
        above=0,
    )
    resources: dict[str, float] = attrs.field(
        factory=dict,
        metadata={"help": "Custom resources that each session reserves, as the nodes were started with them.", "above": 0},
    )
    timeout_s: float | None = setting(
        None, "Kill an actor whose scenario takes longer than this, seconds; unset: wait for ever.", above=0
    )
    start_timeout_s: float = setting(
        300.0, "How long to wait for the cluster to start a session while there is none, seconds.", above=0
    )
    shared: bool = setting(
        default=True,
        help="Whether all nodes see the cache's folder under the same path; false: they write into `scratch`, and what they "
        "wrote is fetched at the end.",
    )
    scratch: str | None = setting(
        None, "With shared = false: local folder of every node for what it writes; unset: its folder for temporary files."
    )
    runtime_dir: str | None = setting(
        None, 'With address = "local": folder for Ray\'s sockets and logs, which are removed at the end; a short path.'
    )

    def __attrs_post_init__(self) -> None:
        """Refuse addresses that name no cluster, and resources that have a key of their own."""
        if self.address not in ("local", "auto") and not _GIVEN.fullmatch(self.address):
            message = f'worker ray: address = {self.address!r} is none of "local", "auto", "HOST:PORT" and "ray://HOST:PORT"'
            raise PlutoError(message)
        taken = [name for name in _BUILT_IN if name in self.resources]
        if taken:
            message = f"worker ray: resources cannot name {taken[0]!r}; write worker.cpus and worker.memory_mb"
            raise PlutoError(message)

    @property
    def memory_bytes(self) -> int | None:
        """Return the memory that each session reserves."""
        return None if self.memory_mb is None else round(self.memory_mb * 1e6)
