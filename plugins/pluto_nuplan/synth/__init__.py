"""Writer of synthetic datasets in nuPlan's own format: a town, its traffic, SQLite logs and a GeoPackage map."""
