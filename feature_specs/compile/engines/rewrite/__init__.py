"""Rewrites of a statement's shape for an engine: joins, windows, stars, names."""
