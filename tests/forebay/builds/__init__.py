"""Builds and backfills."""
