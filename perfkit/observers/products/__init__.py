"""The matrix products of a pass: how often, how fast, and how fast they could be."""
