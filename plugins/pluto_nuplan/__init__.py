"""Native reader of nuPlan logs and maps, and a writer of synthetic datasets in the same format."""
