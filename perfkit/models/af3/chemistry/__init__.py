"""Components, molecules and the tokens that they make."""
