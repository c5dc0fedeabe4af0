"""Knobs: what can be set, the values worth trying, and configurations of them."""
