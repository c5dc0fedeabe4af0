"""Is the answer right: finite checks, agreement, the domain guard, known answers."""
