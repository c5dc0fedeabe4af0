"""The guard in programs that call ``jax.jit`` themselves."""
