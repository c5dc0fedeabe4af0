"""``perfkit doctor``: environment, answers of jaxlib, and noise."""
