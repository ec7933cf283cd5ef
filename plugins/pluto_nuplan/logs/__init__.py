"""nuPlan logs: one SQLite file a log, read as columns."""
