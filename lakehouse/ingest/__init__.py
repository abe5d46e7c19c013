"""Batch ingest: files and the example's flights into Iceberg tables, one commit a table."""
