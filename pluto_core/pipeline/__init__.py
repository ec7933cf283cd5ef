"""The way of the data: selection, cache folder, loader. Numpy only."""
