"""FOR A NOTEBOOK: the functions that ``import perfkit`` offers and that the subcommands call."""
