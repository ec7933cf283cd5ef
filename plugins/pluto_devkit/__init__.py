"""Bridge to nuplan-devkit: its scenarios, builders, models and gzip caches run here unchanged."""
