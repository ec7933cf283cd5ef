"""Pictures of scenarios and reports of runs: what was known, what happened, what was planned."""
