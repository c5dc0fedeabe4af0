"""Compiles the kernels on first use, keeps the library in the user's cache, and loads it."""
