"""What the benchmarks of the online side share."""
