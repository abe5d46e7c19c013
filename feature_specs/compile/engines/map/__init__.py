"""Functions, types and aggregates, each in an engine's own spelling."""
