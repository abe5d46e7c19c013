"""What DuckDB says of a compiled view before any data."""
