"""The functions for notebooks that ``import perfkit`` offers and that the subcommands call."""
