"""Iceberg tables: catalog, scans, commits, ingest and the engines that compute over them."""
