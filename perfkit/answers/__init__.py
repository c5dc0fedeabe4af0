"""IS IT RIGHT: finite checks and agreement classes."""
