"""The page of asv results over commits."""
