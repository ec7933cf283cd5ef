"""The scenarios of one log (nuPlan v1.1, get_scenarios_from_db)."""

import numpy as np
import numpy.typing as npt

from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing, Names
from pluto_core.scene import Ints
from pluto_nuplan.logs.columns import Tags
from pluto_nuplan.logs.database import Words, hex_tokens
from pluto_nuplan.logs.extraction import ScenarioMapping, iterations
from pluto_nuplan.logs.log import Index

UNKNOWN = "unknown"


def scenarios(
    log_name: str, index: Index, wanted: ScenarioFilter, tokens: Words | None, mapping: ScenarioMapping | None
) -> Listing:
    """Return the scenarios of a log in order of time.

    A frame is a scenario if its scene is neither among the first two nor the last two of the log. Its type is the greatest
    (by bytes) of its tags, of those that `wanted` allows.

    Args:
        log_name: Name of the log.
        index: The log.
        wanted: Types, maps and goals of it are applied.
        tokens: Take these only (ascending); None: all.
        mapping: How scenarios are cut out; None: each frame is one of one step.
    """
    frames = index.frames
    if wanted.map_names is not None and index.map_name not in wanted.map_names:
        return Listing.of([])
    usable = index.scenes.usable()
    if wanted.remove_invalid_goals:
        usable &= index.scenes.has_goal
    # Frames without a scene find the appended row.
    kept = np.append(usable, False)[frames.scene]
    names, code = _types(index.tags, len(frames), wanted.scenario_types)
    if wanted.scenario_types is not None:
        kept &= code < len(names) - 1
    if tokens is not None:
        kept &= among(frames.token, tokens)
    return _listing(log_name, index, np.flatnonzero(kept), (names, code), mapping)


def _types(tags: Tags, count: int, allowed: tuple[str, ...] | None) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """Return the names of the types, `unknown` last, and the code of each frame's type."""
    frame, code = tags.frame, tags.code
    if allowed is not None:
        kept = np.isin(code, [place for place, name in enumerate(tags.names) if name in allowed])
        frame, code = frame[kept], code[kept]
    greatest = np.full(count, -1, np.int32)
    np.maximum.at(greatest, frame, code.astype(np.int32))
    greatest[greatest < 0] = len(tags.names)
    return (*tags.names, UNKNOWN), greatest


def among(tokens: Words, wanted: Words) -> npt.NDArray[np.bool_]:
    """Return which of `tokens` are among `wanted` (ascending)."""
    if not len(wanted):
        return np.zeros(len(tokens), np.bool_)
    places = np.minimum(np.searchsorted(wanted, tokens), len(wanted) - 1)
    return np.asarray(wanted[places] == tokens)


def _listing(
    log_name: str,
    index: Index,
    rows: Ints,
    types: tuple[tuple[str, ...], npt.NDArray[np.int32]],
    mapping: ScenarioMapping | None,
) -> Listing:
    anchor_us = index.frames.time_us[rows]
    zeros = np.zeros(len(rows), np.int32)
    listing = Listing(
        logs=Names(values=(log_name,), codes=zeros),
        tokens=hex_tokens(index.frames.token[rows]),
        start_us=anchor_us,
        types=Names(values=types[0], codes=types[1][rows]),
        maps=Names(values=(index.map_name,), codes=zeros),
        anchor_us=anchor_us,
    )
    if mapping is None:
        return listing
    spans = iterations(index.frames.time_us, listing, mapping)
    kept = np.flatnonzero(spans.count > 0)
    start_us = index.frames.time_us[spans.first[kept]]
    cut = listing.take(kept)
    return Listing(logs=cut.logs, tokens=cut.tokens, start_us=start_us, types=cut.types, maps=cut.maps, anchor_us=cut.anchor_us)
