"""HOW a prediction runs: knobs, configurations and search spaces."""
