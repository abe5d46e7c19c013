"""Upkeep of Iceberg tables: snapshots that expire, and files that nothing needs any more."""
