"""What the guard knows of a traced program: structure, signs, differences, rounding bounds."""
