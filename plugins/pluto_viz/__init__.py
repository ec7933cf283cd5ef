"""Pictures of scenarios: what was known, what happened, what was planned."""
