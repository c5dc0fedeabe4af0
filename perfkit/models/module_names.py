"""From the path of an operation to the module of the model that a person would name."""

from __future__ import annotations

from collections.abc import Sequence

type Names = Sequence[tuple[str, str]]
"""Parts of a path and what they are called, the more special ones first."""


def module_name(op_name: str, stacks: Names, blocks: Names) -> str | None:
    """``stack/block``, or the stack alone where no block is named; None outside of all stacks.

    Parameters
    ----------
    op_name
        Path in the optimised HLO's metadata, e.g. ``jit(f)/diffuser/while/body/.../dot_general``.
    stacks, blocks
        The first entry whose part occurs in the path counts; a block only behind its stack.
    """
    for part, stack in stacks:
        begin = op_name.find(part)
        if begin >= 0:
            inside = op_name[begin + len(part) :]
            block = next((name for piece, name in blocks if piece in inside), None)
            return stack if block is None else f"{stack}/{block}"
    return None
