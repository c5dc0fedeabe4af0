"""The XLA trace of a pass, and the attribution of its events to parts and modules."""
