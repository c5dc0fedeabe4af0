"""The guard in programs that call ``jax.jit`` themselves, in this process or below a command."""
