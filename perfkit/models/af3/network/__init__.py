"""What perfkit changes in AlphaFold 3's network while it is traced."""
