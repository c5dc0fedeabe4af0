"""Several versions of jaxlib next to each other: their answers, and what an upgrade changes."""
