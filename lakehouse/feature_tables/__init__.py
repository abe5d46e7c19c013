"""Feature tables: brought forward by a step or in full, changed in place, kept small."""
