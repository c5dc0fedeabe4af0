"""A prepared prediction: a pure JAX function, its arguments and the uses of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.answers.finite import NOTHING_DECLARED, DeclaredNan

PyTree = Any
"""Nested containers of arrays, as JAX takes and returns them. JAX defines no narrower type."""


@dataclass(frozen=True)
class Prepared:
    """A prediction that is ready to be traced.

    Attributes
    ----------
    function
        Pure JAX function. It is compiled once per trial.
    arguments
        Arguments to trace and compile ``function`` with.
    drive
        Runs one whole prediction: calls the compiled function as often as the workload asks, and
        returns the outputs as a pytree of arrays.
    parts
        How often each part of the model runs in one prediction, e.g. ``{"trunk_pass": 1}``.
    compared
        Extracts from the outputs the quantities that are compared with the reference, without
        padding, as float32 or float64. Large ones are best made one at a time, see
        :class:`~perfkit.answers.made_arrays.MadeArrays`.
    write
        Writes the files of the prediction into a folder and returns their paths.
    expected_nan
        Name of a leaf of the outputs -> mask of the elements that may be NaN by the model's
        definition.
    declared_nan
        The same masks for the arguments and results of one call of ``function``.
    notices
        Sentences that a reader of the results must know, found while preparing.
    labels
        Statements about the fidelity that every file of ``write`` carries.
    """

    function: Callable[..., PyTree]
    arguments: tuple[PyTree, ...]
    drive: Callable[[Callable[..., PyTree]], PyTree]
    parts: Mapping[str, int]
    compared: Callable[[PyTree], Mapping[str, np.ndarray]]
    write: Callable[[PyTree, Path], Sequence[Path]]
    expected_nan: Mapping[str, np.ndarray] = field(default_factory=dict)
    declared_nan: DeclaredNan = NOTHING_DECLARED
    notices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
