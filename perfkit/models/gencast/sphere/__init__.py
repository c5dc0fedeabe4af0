"""Grid, mesh and noise on the sphere."""
