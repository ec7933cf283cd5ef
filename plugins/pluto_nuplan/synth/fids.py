"""Feature ids of a town's map: every layer counts from its own thousands, so that no id occurs in two layers."""

import itertools

import attrs

from pluto_nuplan.synth.town import Town

_LAYERS = (
    "lane",
    "connector",
    "group",
    "block",
    "boundary",
    "baseline",
    "connector_polygon",
    "intersection",
    "crosswalk",
    "stop",
    "walkway",
    "car_park",
    "road_segment",
    "drivable_area",
)


@attrs.frozen(eq=False)
class Fids:
    """Feature ids by layer; an object's id is its layer's first one plus its index."""

    town: Town
    stride: int

    def first(self, layer: str) -> int:
        """The id of a layer's first object."""
        return (_LAYERS.index(layer) + 1) * self.stride

    def of(self, layer: str, index: int) -> int:
        """The id of an object by its index in its layer."""
        return self.first(layer) + index

    def blocks_of(self, edges: list[int]) -> list[int]:
        """Roadblocks and roadblock connectors of consecutive edges (lanes, then connectors), repeats left out."""
        lanes, blocks = len(self.town.lanes), []
        for edge in edges:
            if edge < lanes:
                blocks.append(self.of("group", self.town.lanes[edge].group))
            else:
                blocks.append(self.of("block", self.town.connectors[edge - lanes].block))
        return [block for block, _ in itertools.groupby(blocks)]


def number(town: Town) -> Fids:
    """Number a town's features."""
    most = max(len(town.boundaries_m), len(town.lanes) + len(town.connectors), 6 * len(town.arms))
    return Fids(town, 1000 * (most // 1000 + 1))
