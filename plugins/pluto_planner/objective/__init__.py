"""The PLUTO objective: imitation, prediction, collision and contrastive losses."""

from pluto_planner.objective.terms import PlutoObjective, compute_losses, make

__all__ = ["PlutoObjective", "compute_losses", "make"]
