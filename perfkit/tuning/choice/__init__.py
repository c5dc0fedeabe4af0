"""What a study recommends, and what its records say of every knob."""
