"""Pieces: ranges of a program as files that any jaxlib from the same one on can compile."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from perfkit.errors import PerfkitError
from perfkit.upgrade.locate.reproduce import CASE_FILE, PROGRAM_FILE

TEXT_FILE = "program.mlir"
_CUSTOM_CALL = re.compile(r"custom_call @([\w.$]+)")


@dataclass(frozen=True)
class Piece:
    """A program in a folder, as :mod:`perfkit.upgrade.locate.reproduce` reads it.

    Attributes
    ----------
    folder
        Folder of the program.
    inputs, outputs
        ``shape`` and ``dtype`` of its operands and results, as JSON holds them.
    """

    folder: Path
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]


def write_piece(folder: Path, function: Callable[..., list[Any]], avals: Sequence[Any]) -> Piece:
    """Write a function of arrays as a piece.

    Parameters
    ----------
    folder
        Folder to create.
    function
        Function that JAX can trace; it returns a list of arrays.
    avals
        Types of its arguments.

    Raises
    ------
    PerfkitError
        The function cannot be exported, for example because it calls back into Python.
    """
    given = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
    jitted = jax.jit(function, keep_unused=True)
    try:
        targets = set(_CUSTOM_CALL.findall(jitted.lower(*given).as_text()))
        allowed = [jax.export.DisabledSafetyCheck.custom_call(name) for name in sorted(targets)]
        exported = jax.export.export(jitted, disabled_checks=allowed)(*given)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise PerfkitError(
            f"a part of the program cannot be exported ({str(error).splitlines()[0]})"
        ) from error
    folder.mkdir(parents=True)
    (folder / PROGRAM_FILE).write_bytes(exported.mlir_module_serialized)
    (folder / TEXT_FILE).write_text(str(exported.mlir_module()))
    piece = Piece(
        folder, tuple(map(_typed, exported.in_avals)), tuple(map(_typed, exported.out_avals))
    )
    signature = {"inputs": piece.inputs, "outputs": piece.outputs}
    (folder / CASE_FILE).write_text(json.dumps(signature))
    return piece


def _typed(aval: Any) -> dict[str, Any]:
    return {"shape": list(aval.shape), "dtype": str(np.dtype(aval.dtype).name)}
