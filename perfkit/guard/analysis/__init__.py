"""What the guard finds out about a program before it changes it."""
