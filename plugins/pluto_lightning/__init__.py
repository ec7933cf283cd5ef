"""Plugin of pluto."""
