"""What a model offers to everything that runs it: the Model protocol and its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from perfkit.answers.agreement import AgreementClass, Tolerance
from perfkit.answers.finite import NOTHING_DECLARED, DeclaredNan
from perfkit.files import Plain, short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.knobs.knob import Knob
from perfkit.models.costs import CostModel

PyTree = Any
"""Nested containers of arrays, as JAX takes and returns them; JAX gives it no narrower type."""


REST = "rest"
"""What belongs to no part of a model and runs once a prediction."""


@dataclass(frozen=True)
class Option:
    """Something a user can say about what is predicted, e.g. ``--input FILE``.

    Parameters
    ----------
    name
        Without the dashes; words joined by hyphens.
    kind
        ``str``, ``int``, ``float`` or ``bool`` (a switch).
    summary
        One line of help.
    """

    name: str
    kind: type
    summary: str


@dataclass(frozen=True)
class FidelityAxis:
    """One way in which a prediction can be cut short.

    Parameters
    ----------
    name
        E.g. ``recycles``; also the command line option.
    low, production
        Value of a cheap measurement, and the model's own default.
    minimum
        Smallest value that makes sense.
    counts_results
        Whether the axis counts results (seeds, samples): fewer of them make none of them worse.
    """

    name: str
    low: int
    production: int
    minimum: int
    summary: str
    counts_results: bool = False


@dataclass(frozen=True)
class Workload:
    """Model, input and fidelity: what a trial computes, whatever its configuration.

    Parameters
    ----------
    model
        Name of the model.
    name
        What a person calls the input.
    size
        Size in the model's own unit (tokens, grid nodes).
    source
        What the model needs to make the input again in another process (strings and numbers).
    fidelity
        Value a fidelity axis.
    input_digest
        Digest of the input's content: a changed file is another workload.
    notices
        What a reader of any result must know, e.g. that weights are synthetic.
    """

    model: str
    name: str
    size: int
    source: Mapping[str, str | int | float | bool]
    fidelity: Mapping[str, int]
    input_digest: str
    notices: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits: equal for equal computations, wherever their files lie."""
        same: list[Plain] = [
            self.model,
            self.size,
            self.input_digest,
            sorted(self.fidelity.items()),
        ]
        return short_digest(same)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the digest included."""
        return {
            "model": self.model,
            "name": self.name,
            "size": self.size,
            "source": dict(self.source),
            "fidelity": dict(self.fidelity),
            "input_digest": self.input_digest,
            "notices": list(self.notices),
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Workload:
        """The workload that :meth:`as_dict` described."""
        return cls(
            model=data["model"],
            name=data["name"],
            size=data["size"],
            source=dict(data["source"]),
            fidelity=dict(data["fidelity"]),
            input_digest=data["input_digest"],
            notices=tuple(data["notices"]),
        )

    def with_fidelity(self, **values: int) -> Workload:
        """The same input at another fidelity."""
        fidelity = {**self.fidelity, **values}
        return Workload(
            self.model,
            self.name,
            self.size,
            self.source,
            fidelity,
            self.input_digest,
            self.notices,
        )


def fidelity_labels(
    axes: Sequence[FidelityAxis], fidelity: Mapping[str, int], production: Mapping[str, int]
) -> tuple[str, ...]:
    """What every file of a prediction must say of its fidelity; nothing from production upwards.

    Parameters
    ----------
    axes
        The model's.
    fidelity, production
        Of the prediction, and the model's own for its input.
    """
    fewer = [axis for axis in axes if fidelity[axis.name] < production[axis.name]]
    if not fewer:
        return ()
    listed = ", ".join(f"{a.name} {fidelity[a.name]} of {production[a.name]}" for a in fewer)
    if all(axis.counts_results for axis in fewer):
        return (f"fewer results than in production ({listed})",)
    return (f"below production fidelity ({listed}): a measurement, not a prediction to rely on",)


@dataclass(frozen=True)
class Prepared:
    """A prediction, ready to be traced.

    Parameters
    ----------
    function
        Pure JAX function; compiled once a trial.
    arguments
        Arguments to trace and compile ``function`` with.
    drive
        One whole prediction: calls the compiled function as often as the workload asks and
        returns its outputs as a pytree of arrays.
    parts
        How often each part of the model runs in one prediction, e.g. ``{"trunk_pass": 1}``.
    compared
        From the outputs, the quantities to compare, without padding, as float32 or float64.
    expected_nan
        Leaf name to mask of the elements of the outputs that may be NaN by the model's definition.
    declared_nan
        The same for one call of ``function``, its arguments included.
    write
        Writes the prediction's files into a folder and returns their paths.
    notices
        What a reader must know, found out while preparing.
    labels
        What every file that ``write`` leaves says of its fidelity.
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


class Model(Protocol):
    """What is predicted with. Never times, pins, sets an environment variable or prints."""

    name: str
    size_unit: str
    options: tuple[Option, ...]
    small_options: Mapping[str, str | int | float | bool]
    """Options of an input that runs in seconds, for looking at the machine and not at the model."""
    weights_option: str
    """The option that names real weights; without it they are synthetic."""
    fidelity_axes: tuple[FidelityAxis, ...]
    knobs: tuple[Knob, ...]
    tolerances: Mapping[str, Tolerance]
    """The outputs that are compared between configurations, and how closely."""
    reference_values: Mapping[str, str]
    """Knob values of the reference configuration (float32, otherwise stock)."""

    @property
    def costs(self) -> CostModel:
        """What the model costs, and the columns of its jobs in a queue."""
        ...

    def load(self) -> None:
        """Import what the model runs with, so that its cost is a stage of its own.

        Raises
        ------
        MissingDependencyError
            The model's package is not installed.
        """
        ...

    def workload(
        self, options: Mapping[str, str | int | float | bool], fidelity: Mapping[str, int]
    ) -> Workload:
        """The workload that ``options`` describe, at ``fidelity`` (missing axes: low).

        Raises
        ------
        UserError
            An option is impossible or the input is bad.
        """
        ...

    def resized(self, workload: Workload, size: str) -> Workload:
        """A synthetic input of another size, at the workload's fidelity and with its weights.

        Parameters
        ----------
        workload
            What to take everything but the size from.
        size
            As a user writes it: residues for AlphaFold 3, degrees for GenCast.

        Raises
        ------
        UserError
            There is no input of that size.
        """
        ...

    def resolved_fidelity(self, fidelity: Mapping[str, int], workload: Workload) -> dict[str, int]:
        """``fidelity`` with what depends on the input put in (e.g. all of its seeds)."""
        ...

    def check(self, workload: Workload, configuration: Configuration) -> None:
        """Refuse what the model's own knobs make impossible on this input.

        Raises
        ------
        UserError
            E.g. a bucket that is smaller than the input.
        """
        ...

    def declared_class(self, overrides: Mapping[str, str]) -> AgreementClass:
        """The agreement class that results under ``overrides`` are held to."""
        ...

    def memory_estimate_bytes(self, workload: Workload, configuration: Configuration) -> int:
        """Predicted peak resident set of a trial, in bytes."""
        ...

    def part_counts(
        self, fidelity: Mapping[str, int], workload: Workload | None = None
    ) -> dict[str, int]:
        """How often each part runs in one prediction at ``fidelity``.

        Parameters
        ----------
        workload
            Where given, its options count too, such as the implementation that is asked for.
        """
        ...

    def part_of(self, op_name: str) -> str | None:
        """The part that an operation belongs to, by its ``op_name`` in the optimised HLO.

        :data:`REST` for what belongs to no part and runs once a prediction, None where the name
        does not tell.
        """
        ...

    def module_of(self, op_name: str) -> str | None:
        """The module of the network that an operation belongs to, as its authors call it.

        E.g. ``pairformer/triangle attention``; None where the name does not tell.
        """
        ...

    def part_fidelity(self) -> Mapping[str, int]:
        """A low fidelity at which every part costs what it costs in production."""
        ...

    def check_fidelity(self) -> Mapping[str, int]:
        """A longer run than :meth:`part_fidelity`, to hold an extrapolation against."""
        ...

    def search_values(self, workload: Workload) -> Mapping[str, Sequence[str]]:
        """Values worth trying of the model's own knobs on ``workload``, most promising first."""
        ...

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """The prediction of ``workload`` under the model's own knobs ``overrides``.

        Raises
        ------
        UserError
            The input cannot be read any more.
        ConfigurationRefusedError
            The model cannot run so.
        """
        ...
