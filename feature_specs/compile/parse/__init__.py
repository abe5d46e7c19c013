"""From the author's text to one tree in DuckDB's words."""
