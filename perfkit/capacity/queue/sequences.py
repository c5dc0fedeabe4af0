"""Sequences of a table of jobs as fold inputs."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from string import ascii_uppercase

from perfkit.capacity.queue.inputs import Given, read_input
from perfkit.errors import UserError

SEED = 1
"""A sequence names no seeds."""

ID_LETTERS = 4
"""Of a chain where one is not enough: 456,976 chains, more than any job has tokens."""


def read_sequence(name: str, sequence: str) -> tuple[str, Given]:
    """A complex of proteins as a fold input, and its tokens.

    Parameters
    ----------
    name
        Of the job.
    sequence
        One-letter codes; a colon joins the chains, as ColabFold has it.

    Returns
    -------
    document, given
        The fold input as JSON.

    Raises
    ------
    UserError
        A chain is empty or holds what is no residue.
    """
    chains = ["".join(chain.split()).upper().removesuffix("*") for chain in sequence.split(":")]
    if not all(chains):
        raise UserError("the sequence has an empty chain: a colon joins two of them")
    repeat = 1 if len(chains) <= len(ascii_uppercase) else ID_LETTERS
    identifiers = itertools.product(ascii_uppercase, repeat=repeat)
    document = json.dumps(
        {
            "dialect": "alphafold3",
            "version": 1,
            "name": name,
            "modelSeeds": [SEED],
            "sequences": [
                {"protein": {"id": "".join(letters), "sequence": chain}}
                for letters, chain in zip(identifiers, chains, strict=False)
            ],
        }
    )
    with tempfile.TemporaryDirectory(prefix="perfkit-") as folder:
        written = Path(folder) / "input.json"
        written.write_text(document, encoding="utf-8")
        try:
            return document, read_input(written)
        except UserError as error:
            # The row names the place; a file that is gone helps nobody.
            message = str(error).replace(f"{written}: ", "").replace(str(written), "the sequence")
            raise UserError(message) from error
