"""What the modules of GenCast are called: named scopes of our code, upstream's Haiku names."""

from __future__ import annotations

WEATHERNEXT_SCOPE = "weathernext_step_setup"
"""The scope of a step of the published implementation, which names no part of its own."""

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

_LOOP = "/while/body/"


def part_name(op_name: str, parts: tuple[str, ...]) -> str | None:
    """The first of ``parts`` that ``op_name`` lies in.

    In the published implementation, what the sampler's loop does outside of the denoiser is
    drawing noise.
    """
    found = next((part for part in parts if part in op_name), None)
    if found == "step_setup" and WEATHERNEXT_SCOPE in op_name and _LOOP in op_name:
        return "noise_set"
    return found
