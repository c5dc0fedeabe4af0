"""Applies AlphaFold 3's knobs inside programs that perfkit does not own."""
