"""AlphaFold 3, as it is published."""
