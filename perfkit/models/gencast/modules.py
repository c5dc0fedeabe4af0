"""What the modules of GenCast are called: named scopes of our code, upstream's Haiku names."""

from __future__ import annotations

STACKS = (
    ("mesh2grid", "mesh2grid"),
    ("grid2mesh", "grid2mesh"),
    ("mesh_transformer", "mesh transformer"),
    ("denoiser_call", "denoiser, other"),
    ("noise_set", "noise"),
    ("step_setup", "step setup"),
)
BLOCKS = (
    ("attend", "attention"),
    ("mha", "attention"),
    ("ffw", "feed-forward"),
    ("edges", "edge messages"),
    ("nodes", "node updates"),
)
