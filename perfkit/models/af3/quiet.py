"""Keeps what upstream and RDKit write about single atoms and residues off the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_upstream() -> Iterator[None]:
    """Silences RDKit, and upstream's warnings: a page for every atom of a modified residue.

    Errors are exceptions and pass through.
    """
    from rdkit import rdBase

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with rdBase.BlockLogs():
            yield
    finally:
        logger.setLevel(level)
