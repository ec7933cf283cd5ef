"""Reports: one HTML file that says what a run did, or how two runs differ."""
