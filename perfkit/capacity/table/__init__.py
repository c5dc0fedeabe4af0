"""The capacity table: time and memory of a model by size, cores and memory of a machine."""
