"""Environments with other versions of jaxlib, which share all other packages with this one."""
