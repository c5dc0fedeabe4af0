"""Medians, intervals and comparisons: pure functions on numbers, each citing its source."""
