"""What a size costs."""
