"""GenCast, built from its specification for CPUs; importing this imports neither JAX nor xarray."""
