"""WHICH configuration is best: studies, strategy, extrapolation, recommendation."""
