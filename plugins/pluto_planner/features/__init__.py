"""PLUTO's feature builder: a neutral scene in, the arrays of `pluto_planner.schema` out."""

from pluto_planner.features.builder import PlutoFeatures, make

__all__ = ["PlutoFeatures", "make"]
