"""``python -m perfkit``."""

from perfkit.cli.main import entry_point

entry_point()
