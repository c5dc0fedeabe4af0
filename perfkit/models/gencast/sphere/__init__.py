"""Grids, meshes and noise on the sphere."""
