"""``perfkit plan``."""

from __future__ import annotations


def main(arguments: list[str]) -> int:
    """Fit or plan."""
    from perfkit.cli import plan_fit

    return plan_fit.main(arguments[1:])
