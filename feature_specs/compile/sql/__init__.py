"""Helpers for trees, names and instants as SQL; no passes."""
