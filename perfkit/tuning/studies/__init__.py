"""How a study runs: its trials, its state, and the sessions that carry them out."""
