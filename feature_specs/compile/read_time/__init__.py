"""Expressions evaluated when a vector is read, as trees that serving understands."""
