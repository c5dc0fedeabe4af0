"""asv benchmarks: the models through perfkit's own trials, and what perfkit itself costs."""
