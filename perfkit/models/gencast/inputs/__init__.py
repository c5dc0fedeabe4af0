"""Atmospheres, statistics and checkpoints, read or made."""
