"""Bring feature tables forward: a build's tables before its views, steps without dbt, and backfills."""
