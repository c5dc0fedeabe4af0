"""What to measure next: pure decisions on evidence."""
