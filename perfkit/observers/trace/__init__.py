"""The XLA trace and what its events belong to."""
