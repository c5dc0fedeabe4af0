"""The ceilings of the machine, and what limits a module."""
