"""Maps the path of an operation to the module of the network that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

type Names = Sequence[tuple[str, str]]
"""Pairs of a substring of a path and the name that it stands for, the more specific ones first."""


def module_name(op_name: str, stacks: Names, blocks: Names) -> str | None:
    """Name the module of an operation.

    Parameters
    ----------
    op_name
        Path in the optimised HLO's metadata, e.g. ``jit(f)/diffuser/while/body/.../dot_general``.
    stacks
        Names of stacks. The first entry whose substring occurs in the path is the stack.
    blocks
        Names of blocks. The first entry whose substring occurs after the stack is the block.

    Returns
    -------
    str or None
        ``stack/block``; the stack alone if no block matches; None if no stack matches.
    """
    for part, stack in stacks:
        begin = op_name.find(part)
        if begin >= 0:
            inside = op_name[begin + len(part) :]
            block = next((name for piece, name in blocks if piece in inside), None)
            return stack if block is None else f"{stack}/{block}"
    return None
