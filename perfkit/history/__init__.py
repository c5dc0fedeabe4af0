"""HOW IT CHANGED: records and asv results as snapshots, compared, and their course over commits."""
