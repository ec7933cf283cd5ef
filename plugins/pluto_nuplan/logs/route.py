"""Whether scenarios lie near their route, and how many of their frames a token set holds."""

import json

import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.maps import Layer, MapView
from pluto_core.places import user_path
from pluto_core.scene import Floats, Ints, Mask
from pluto_nuplan.logs.database import NO_TOKEN, Words, token_words
from pluto_nuplan.logs.extraction import Iterations
from pluto_nuplan.logs.listing import among

_LEAST_VERTICES = 3
"""Baselines with fewer vertices within the radius make no segment (nuPlan v1.1, get_neighbor_vector_map)."""


def has_route_lane_near(view: MapView, position: Floats, route: Ints, radius_m: float) -> bool:
    """Return whether a lane or connector of the route comes within `radius_m` of a (2,) position.

    As nuPlan v1.1 does it: of lanes that touch the square of that half side, the part of the baseline between its first and
    last vertex within the radius counts if it has three vertices or more.
    """
    on_route = set(route.tolist())
    for layer in (Layer.LANE, Layer.LANE_CONNECTOR):
        for row in view.near(layer, position, radius_m):
            block = view.lanes.block[row]
            if block < 0 or int(view.blocks.ids[block]) not in on_route:
                continue
            vertices = view.lanes.baselines.line(int(row))
            within = np.flatnonzero(np.hypot(*(vertices - position).T) <= radius_m)
            if len(within) and within[-1] - within[0] + 1 >= _LEAST_VERTICES:
                return True
    return False


def read_token_set(path: str) -> Words:
    """Return the tokens of a JSON list, ascending.

    Raises:
        PlutoError: The file is missing or holds something else.
    """
    try:
        tokens = json.loads(user_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PlutoError(f"filter.token_set_path: {path} cannot be read as a JSON list of tokens: {error}") from None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise PlutoError(f"filter.token_set_path: {path} must hold a list of tokens (strings of 16 hex digits)")
    words = np.unique(token_words(tokens))
    if (words == NO_TOKEN).any():
        raise PlutoError(f"filter.token_set_path: {path} holds something that is no token of 16 hex digits")
    return words


def in_token_set(frame_tokens: Words, spans: Iterations, tokens: Words, fraction: float) -> Mask:
    """Return which scenarios have more than `fraction` of their frames in a token set.

    A fraction of 1 asks that the scenario's frames are exactly the set, as in nuPlan v1.1.
    """
    held = among(frame_tokens, tokens)
    shares = np.asarray([held[spans.frames(row)].mean() for row in range(len(spans.first))])
    if fraction < 1:
        return shares > fraction
    return np.asarray((shares == 1) & (spans.count == len(tokens)))
