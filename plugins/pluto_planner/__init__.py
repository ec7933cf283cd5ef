"""The PLUTO planner: features, network, objective."""
