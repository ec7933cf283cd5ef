"""The PLUTO network in plain PyTorch, with the parameter names of the published checkpoints."""

from pluto_planner.network.planner import PlutoNetwork
from pluto_planner.network.reference import from_reference_state_dict

__all__ = ["PlutoNetwork", "from_reference_state_dict"]
