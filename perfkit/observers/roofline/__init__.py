"""The machine's ceilings, and what limits a module."""
