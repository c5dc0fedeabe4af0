"""Search strategies: pure decisions on what to measure next, from evidence."""
