"""A lake elsewhere: what it needs, and how DuckDB reads its files."""
