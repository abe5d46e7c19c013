"""Lineage: what a feature is made from, and what a change to it touches."""
