"""A small model of nuplan-devkit, of its stock builders that need no map."""

import torch
from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling
from nuplan.planning.training.modeling.torch_module_wrapper import TorchModuleWrapper
from nuplan.planning.training.preprocessing.feature_builders.agents_feature_builder import AgentsFeatureBuilder
from nuplan.planning.training.preprocessing.features.trajectory import Trajectory
from nuplan.planning.training.preprocessing.target_builders.ego_trajectory_target_builder import EgoTrajectoryTargetBuilder


class SmallModel(TorchModuleWrapper):
    """One layer from the ego's past poses to its future ones, which every other vehicle pulls a little."""

    def __init__(self, width=8):
        future = TrajectorySampling(num_poses=4, time_horizon=2.0)
        super().__init__(
            future_trajectory_sampling=future,
            feature_builders=[AgentsFeatureBuilder(TrajectorySampling(num_poses=4, time_horizon=1.5))],
            target_builders=[EgoTrajectoryTargetBuilder(future)],
        )
        self.inner = torch.nn.Linear(15, width)
        self.outer = torch.nn.Linear(width, 12)

    def forward(self, features):
        """Return the trajectory."""
        agents = features["agents"]
        pull = torch.stack([others[..., :3].sum() * 1e-3 for others in agents.agents])
        hidden = self.inner(torch.stack(agents.ego).flatten(1)) + pull[:, None]
        return {"trajectory": Trajectory(data=self.outer(hidden.tanh()).unflatten(1, (4, 3)))}
