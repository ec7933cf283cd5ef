"""Which scenarios a filter takes: everything that follows extraction, on columns (order of application as in nuPlan v1.1).

Two things differ from nuPlan v1.1 on purpose: where `shuffle` draws, every stage has a generator of its own, so that a draw
depends on the seed, the stage and its candidates only; and a field that could have no effect is refused.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import filters
from pluto_core.errors import PlutoError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.pipeline.counting import Counts, count
from pluto_core.pipeline.limits import Rows, counting_stages
from pluto_core.pipeline.randomness import generator
from pluto_core.places import user_path
from pluto_core.protocols import ScenarioSource

_SHOWN = 5
"""How many names a sentence holds at most."""
_MOTION = ("ego_displacement_minimum_m", "ego_start_speed_threshold", "ego_stop_speed_threshold")
_COLUMN_STAGES = (_MOTION, ("fraction_in_token_set_threshold",), ("ego_route_radius",))


@attrs.frozen(kw_only=True, eq=False)
class Selected:
    """What a filter took, and what each stage left."""

    listing: Listing
    stages: tuple[tuple[str, Counts], ...]
    """Name of each stage that acted (`candidates` first) and the counts after it."""
    missing_tokens: tuple[str, ...] = ()
    """Tokens that `scenario_tokens` names and that are not among the candidates."""
    missing_logs: tuple[str, ...] = ()
    """Logs that `log_names` names and that have no candidate."""

    @property
    def funnel(self) -> list[tuple[str, int]]:
        """Return each stage and the number of scenarios after it."""
        return [(name, counts.total) for name, counts in self.stages]

    @property
    def unmet(self) -> list[str]:
        """Return a sentence for each list of the filter that names what is not there."""
        missing = (
            ("filter.scenario_tokens", "not found", self.missing_tokens),
            ("filter.log_names", "without a scenario", self.missing_logs),
        )
        return [f"{field}: {len(names):,} {what}: {_few(names)}" for field, what, names in missing if names]


def select(source: ScenarioSource, wanted: ScenarioFilter, seed: int) -> Selected:
    """Return the scenarios of `source` that `wanted` takes, sorted by token, or shuffled where it says so.

    Raises:
        PlutoError: The source cannot answer a field, or a field has a value that makes no sense.
    """
    check_filter(wanted, source.answers)
    listing = source.list(wanted)
    stages = [("candidates", count(listing))]
    tokens, logs = missing_tokens(listing, wanted.scenario_tokens or ()), _missing_logs(listing, wanted.log_names or ())
    for name, stage in counting_stages(wanted, seed):
        listing = listing.take(stage(listing))
        stages.append((name, count(listing)))
    for names in _COLUMN_STAGES:
        asked = [name for name in names if getattr(wanted, name) is not None]
        if asked:
            columns = source.columns(listing, asked, wanted) if len(listing) else {}
            for name in asked if len(listing) else ():
                kept = _satisfied(name, columns[name], wanted)
                columns = {other: column[kept] for other, column in columns.items()}
                listing = listing.take(kept)
                stages.append((name, count(listing)))
    listing = listing.take(_final_order(listing, shuffle=wanted.shuffle, seed=seed))
    return Selected(listing=listing, stages=tuple(stages), missing_tokens=tokens, missing_logs=logs)


def check_filter(wanted: ScenarioFilter, answers: Iterable[str]) -> None:
    """Prove that a source that answers `answers` can satisfy a filter; touches no data.

    Raises:
        PlutoError: It cannot, naming the field.
    """
    fields = filters.unanswered(wanted, answers)
    if fields:
        message = f"{', '.join(f'filter.{name}' for name in fields)}: this source cannot answer it; leave it out"
        raise PlutoError(message)
    for name, problem in filters.contradictions(wanted):
        raise PlutoError(f"filter.{name}: {problem}")


def missing_tokens(listing: Listing, tokens: Iterable[str]) -> tuple[str, ...]:
    """Return the `tokens` that no scenario of the listing has, in their order and once each."""
    asked = tuple(dict.fromkeys(tokens))
    if not asked:
        return ()
    found = frozenset(np.unique(listing.tokens).tolist())
    return tuple(token for token in asked if token.encode() not in found)


def _missing_logs(listing: Listing, logs: Iterable[str]) -> tuple[str, ...]:
    found = {listing.logs.values[code] for code in np.unique(listing.logs.codes)}
    return tuple(log for log in dict.fromkeys(logs) if log not in found)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")


def filter_digest(wanted: ScenarioFilter, identity: Identity | None, seed: int = 0) -> str:
    """Return 32 hex digits that name the listing which `select` gives: they depend on filter, source and data.

    The content of the token set counts, not its path; the seed counts only where the filter shuffles.
    """
    fields: dict[str, Any] = attrs.asdict(wanted)
    if wanted.token_set_path is not None:
        fields["token_set_path"] = hashlib.blake2b(_read_bytes(wanted.token_set_path)).hexdigest()
    document = {
        "filter": fields,
        "source": attrs.asdict(identity) if identity else None,
        "seed": seed if wanted.shuffle else None,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _read_bytes(path: str) -> bytes:
    try:
        return user_path(path).read_bytes()
    except OSError as error:
        message = f"filter.token_set_path: {path} cannot be read: {error.strerror}"
        raise PlutoError(message) from None


def _satisfied(name: str, column: npt.NDArray[Any], wanted: ScenarioFilter) -> Rows:
    if name == "ego_displacement_minimum_m":
        return np.flatnonzero(column >= wanted.ego_displacement_minimum_m)
    return np.flatnonzero(column)


def _final_order(listing: Listing, *, shuffle: bool, seed: int) -> Rows:
    order: Rows = np.argsort(listing.tokens, kind="stable")
    return order[generator(seed, "filter", "shuffle").permutation(len(order))] if shuffle else order
