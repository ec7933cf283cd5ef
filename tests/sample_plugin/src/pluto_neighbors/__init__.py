"""Plan from the nearest neighbors: a plugin of pluto."""
