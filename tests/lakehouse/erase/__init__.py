"""Tests of erasure in Iceberg tables."""
