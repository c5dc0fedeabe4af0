"""Faults that tests and the drill inject, with real processes, files and file systems."""
