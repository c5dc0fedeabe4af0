"""Medians, confidence intervals and comparisons: pure functions that cite their sources."""
