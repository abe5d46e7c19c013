"""A remote lake: its settings, and how DuckDB reads its files."""
