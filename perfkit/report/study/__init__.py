"""The page of a study: its answer, its evidence, and everything in between."""
