"""Names of the modules of GenCast, for perfkit's named scopes and upstream's Haiku names."""

from __future__ import annotations

from perfkit.models.module_names import Names

WEATHERNEXT_SCOPE = "weathernext_step_setup"
"""Scope of a step of the published implementation, which has no scopes for its parts."""

STACKS: Names = (
    ("mesh2grid", "mesh2grid"),
    ("grid2mesh", "grid2mesh"),
    ("mesh_transformer", "mesh transformer"),
    ("denoiser_call", "denoiser, other"),
    ("noise_set", "noise"),
    ("step_setup", "step setup"),
)
"""Substring of an operation's path -> name of the stack."""

BLOCKS: Names = (
    ("attend", "attention"),
    ("mha", "attention"),
    ("ffw", "feed-forward"),
    ("edges", "edge messages"),
    ("nodes", "node updates"),
)
"""Substring of the path after the stack -> name of the block."""

_LOOP = "/while/body/"


def part_name(op_name: str, parts: tuple[str, ...]) -> str | None:
    """Return the first of ``parts`` whose scope contains an operation; None if none does.

    In the published implementation, operations of the sampler's loop outside the denoiser draw
    noise.

    Parameters
    ----------
    op_name
        Path of the operation in the optimised HLO's metadata.
    parts
        Names of parts, the innermost scopes first.
    """
    found = next((part for part in parts if part in op_name), None)
    if found == "step_setup" and WEATHERNEXT_SCOPE in op_name and _LOOP in op_name:
        return "noise_set"
    return found
