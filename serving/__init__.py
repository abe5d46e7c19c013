"""Online stores, the sync into them, the lookup API and its monitoring."""
