"""Chemical components and the tokens that an input is made of."""
