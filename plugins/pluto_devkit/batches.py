"""Batches of ours as batches of nuplan-devkit: its feature types, put together by their own `collate`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch

from pluto_devkit import trees
from pluto_devkit.schema import LAYOUT

Batch = Mapping[str, Any]


@attrs.frozen
class TypedScenario:
    """What objectives ask of a scenario: its type."""

    scenario_type: str


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """Return the stored trees of every row of a batch, those of all builders joined: `scenario_type` and `features`."""
    groups = [group for group in batch.values() if isinstance(group, Mapping) and LAYOUT in group]
    stored = [{key: tensor.cpu().numpy() for key, tensor in group.items()} for group in groups]
    count = len(stored[0][LAYOUT]) if stored else 0
    rows = []
    for row in range(count):
        decoded = [trees.decode({key: array[row] for key, array in group.items()}) for group in stored]
        features = {name: feature for tree in decoded for name, feature in tree["features"].items()}
        rows.append({"scenario_type": decoded[0]["scenario_type"], "features": features})
    return rows


def collated(rows: Sequence[Mapping[str, Any]], types: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return one feature of the devkit's for all rows, by unique name.

    Args:
        rows: Of `rows_of`.
        types: Feature class of each name that is wanted.
        device: Where the tensors shall be.
    """
    made = {}
    for name, kind in types.items():
        singles = [kind.deserialize(row["features"][name]).to_feature_tensor() for row in rows]
        made[name] = kind.collate(singles).to_device(device)
    return made


def types_of(builders: Sequence[Any]) -> dict[str, Any]:
    """Return the feature class of each builder by its unique name."""
    return {builder.get_feature_unique_name(): builder.get_feature_type() for builder in builders}


def parts_of(feature: Any) -> dict[str, Any]:
    """Return the attributes of a predicted feature by name, tensors as they are, with their gradients."""
    return dict(_fields(feature))


def _fields(feature: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(type(feature), "__dataclass_fields__", {}) or vars(feature):
        if not name.startswith("_"):
            yield name, getattr(feature, name)
