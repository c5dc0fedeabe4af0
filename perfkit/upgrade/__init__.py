"""WHAT AN UPGRADE CHANGES: one model under two versions of jaxlib, and where they differ."""
