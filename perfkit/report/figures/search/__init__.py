"""Figures of a search: what was looked at, what screening showed, which knobs matter."""
