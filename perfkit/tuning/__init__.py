"""Find the best configuration: studies, strategies, extrapolation, recommendation, presets."""
