"""Run a command of the user under a preset, the domain guard, or both, and report on it."""
