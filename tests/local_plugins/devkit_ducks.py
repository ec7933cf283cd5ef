"""What nuplan-devkit calls a feature, a builder, a model, an objective and a metric, without it."""

from types import SimpleNamespace

import torch


class Positions:
    """A feature of a ragged list: where the objects of a frame are."""

    __dataclass_fields__ = {"frames": None}  # noqa: RUF012 -- as dataclasses have it

    def __init__(self, frames, *, valid=True):
        self.frames, self.is_valid = frames, valid

    def serialize(self):
        """Return the data."""
        return {"frames": self.frames}

    @classmethod
    def deserialize(cls, data):
        """Return the feature of some data."""
        return cls(data["frames"])

    def to_feature_tensor(self):
        """Return the feature in tensors."""
        return Positions([torch.as_tensor(frame) for frame in self.frames])

    @classmethod
    def collate(cls, batch):
        """Return a batch: one list a row."""
        return cls([one.frames for one in batch])

    def to_device(self, device):
        """Return the feature on a device."""
        return Positions([[frame.to(device) for frame in row] for row in self.frames])


class Path:
    """A trajectory."""

    __dataclass_fields__ = {"data": None}  # noqa: RUF012 -- as dataclasses have it
    is_valid = True

    def __init__(self, data):
        self.data = data

    def serialize(self):
        """Return the data."""
        return {"data": self.data}

    @classmethod
    def deserialize(cls, data):
        """Return the feature of some data."""
        return cls(data["data"])

    def to_feature_tensor(self):
        """Return the feature in tensors."""
        return Path(torch.as_tensor(self.data))

    @classmethod
    def collate(cls, batch):
        """Return a batch."""
        return cls(torch.stack([one.data for one in batch]))

    def to_device(self, device):
        """Return the feature on a device."""
        return Path(self.data.to(device))


class PositionsBuilder:
    """Where the objects of the past frames are; with `broken` it raises, with `invalid` it makes something invalid."""

    def __init__(self, state=""):
        self.state = state

    def get_feature_unique_name(self):
        """Return the name."""
        return "positions"

    def get_feature_type(self):
        """Return the class."""
        return Positions

    def get_features_from_scenario(self, scenario):
        """Return the feature."""
        if self.state == "broken":
            message = "it is broken"
            raise RuntimeError(message)
        frames = scenario.get_past_tracked_objects(0, 0.5, 5)
        rows = [torch.tensor([[one.center.x, one.center.y] for one in frame.tracked_objects]) for frame in frames]
        return Positions(rows, valid=self.state != "invalid")


class PathBuilder:
    """The driven way."""

    def get_feature_unique_name(self):
        """Return the name."""
        return "trajectory"

    def get_feature_type(self):
        """Return the class."""
        return Path


class Model(torch.nn.Module):
    """Two poses from the mean of all positions."""

    future_trajectory_sampling = SimpleNamespace(time_horizon=1.0, interval_length=0.5)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 6)

    def get_list_of_required_feature(self):
        """Return the builders of features."""
        return [PositionsBuilder()]

    def get_list_of_computed_target(self):
        """Return the builders of targets."""
        return [PathBuilder()]

    def forward(self, features):
        """Return the trajectory."""
        means = torch.stack([torch.cat(row).mean(dim=0) for row in features["positions"].frames])
        return {"trajectory": Path(self.layer(means.float()).unflatten(1, (2, 3)))}


class Distance:
    """An objective, and with `weight = 0` a metric: the mean distance, weighed by scenario type."""

    def __init__(self, name="distance", weights=None, needs="trajectory"):
        self._name, self._weights, self._needs = name, weights or {}, needs

    def name(self):
        """Return the name."""
        return self._name

    def get_list_of_required_target_types(self):
        """Return the targets."""
        return [self._needs]

    def compute(self, predictions, targets, scenarios=()):
        """Return the loss."""
        gap = (predictions["trajectory"].data - targets["trajectory"].data).abs().mean(dim=(1, 2))
        weights = [self._weights.get(one.scenario_type, 1.0) for one in scenarios] or [1.0] * len(gap)
        return (gap * torch.tensor(weights)).mean()
