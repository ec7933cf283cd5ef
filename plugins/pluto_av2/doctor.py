"""What `pluto doctor` looks at for Argoverse 2: where recordings are, and whether each opens."""

from collections.abc import Iterator

from pluto_av2.config import Av2Config
from pluto_av2.source import Av2Source
from pluto_core.errors import PlutoError
from pluto_core.filters import ScenarioFilter
from pluto_core.moments import Finding, Surroundings
from pluto_core.places.remote import is_url

ROOT = "PLUTO_AV2_ROOT"
_SHOWN = 10


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield what there is of Argoverse 2; every recording is opened with its map, of those behind a URL the first one."""
    root = surroundings.environment.get(ROOT)
    if not root:
        advice = "only if you want Argoverse 2: set it to a folder of sensor logs or motion scenarios"
        yield Finding(subject=ROOT, state="note", text="is not set", advice=advice)
        return
    try:
        source = Av2Source(Av2Config(data_root=root), cache_home=surroundings.cache_home)
    except PlutoError as error:
        yield Finding(subject=ROOT, state="broken", text=str(error), advice=f"set {ROOT} to the folder of the recordings")
        return
    names = source.logs()
    tried = names[:1] if is_url(root) else names  # behind a URL each has to be fetched
    found = source.list(ScenarioFilter(log_names=tuple(tried)))
    refused = source.problems()
    text = (
        f"{len(found):,} scenarios of {len(found.logs.values):,} recordings in {root}; {len(refused):,} recordings do not open"
    )
    text += f"; looked into {len(tried):,} of {len(names):,}" if len(tried) < len(names) else ""
    yield Finding(subject=ROOT, state="broken" if refused else "ok", text=text, command="pluto run experiments/av2.toml")
    for name, _, detail in refused[:_SHOWN]:
        yield Finding(subject=name, state="broken", text=detail, advice="download it again")
