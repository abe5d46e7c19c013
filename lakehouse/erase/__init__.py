"""Erase an entity's rows from Iceberg tables, their older snapshots and their files."""
