"""Trials of one configuration with several versions of jaxlib."""
