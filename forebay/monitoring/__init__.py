"""Is a project still well: parity, freshness and drift of every view, as findings, metrics and alerts."""
