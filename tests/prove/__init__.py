"""The machine that shows that the variants agree: draws cases and holds them to the oracle."""
