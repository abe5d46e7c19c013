"""Erasure: an entity's rows out of Iceberg tables, their older snapshots and their files."""
