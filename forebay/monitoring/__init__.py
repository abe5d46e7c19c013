"""Project health: parity, freshness and drift of every view, as findings, metrics and alerts."""
