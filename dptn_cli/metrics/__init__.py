"""Metrics, one file each: pure functions and sums. `protocols` says which belong together."""
