"""A workload: the model, the input and the fidelity that a trial runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from perfkit.files import JsonData, short_digest
from perfkit.records.depths import FULL_DEPTH


@dataclass(frozen=True)
class FidelityAxis:
    """One dimension along which a prediction can be shortened.

    Attributes
    ----------
    name
        Name of the axis, e.g. ``recycles``. It is also the name of the command line option.
    low
        Value for a cheap measurement.
    production
        Default value of the model itself.
    minimum
        Smallest valid value.
    summary
        One line of help.
    counts_results
        Whether the axis counts results (seeds, samples). Fewer results do not make any of them
        worse.
    """

    name: str
    low: int
    production: int
    minimum: int
    summary: str
    counts_results: bool = False


@dataclass(frozen=True)
class Workload:
    """Model, input and fidelity: everything that a trial computes, apart from the configuration.

    Attributes
    ----------
    model
        Name of the model.
    name
        Name of the input, for messages and reports.
    size
        Size in the model's own unit (tokens, grid nodes).
    source
        Options from which the model can recreate the input in another process.
    fidelity
        Fidelity axis -> value.
    input_digest
        Digest of the input's content. A changed file is another workload.
    notices
        Sentences that a reader of any result must know, e.g. that the weights are synthetic.
    depth
        :data:`FULL_DEPTH`, or :data:`SHALLOW_DEPTH` for the same network with fewer of its
        identical blocks, see :meth:`perfkit.models.base.Model.shallow`. Times of a shallow network
        are compared only with each other, and its answer is no prediction.
    """

    model: str
    name: str
    size: int
    source: Mapping[str, str | int | float | bool]
    fidelity: Mapping[str, int]
    input_digest: str
    notices: tuple[str, ...] = ()
    depth: str = FULL_DEPTH

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits, equal for equal computations wherever their files are."""
        same: list[JsonData] = [
            self.model,
            self.size,
            self.input_digest,
            sorted(self.fidelity.items()),
        ]
        if self.depth != FULL_DEPTH:
            # Digests of full depth are those of workloads that had no depth.
            same.append(self.depth)
        return short_digest(same)

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes and the digest as plain data for JSON."""
        plain: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return plain | {"digest": self.digest}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Workload:
        """Recreate a workload from the result of :meth:`as_dict`; the digest is computed anew.

        Raises
        ------
        pydantic.ValidationError
            A key is missing or a value has the wrong type.
        """
        return _ADAPTER.validate_python({key: data[key] for key in data if key != "digest"})

    def with_fidelity(self, **values: int) -> Workload:
        """Return the same input at another fidelity.

        Parameters
        ----------
        **values
            Fidelity axis -> new value. Other axes keep theirs.
        """
        return dataclasses.replace(self, fidelity={**self.fidelity, **values})


_ADAPTER = TypeAdapter(Workload)


def fidelity_labels(
    axes: Sequence[FidelityAxis], fidelity: Mapping[str, int], production: Mapping[str, int]
) -> tuple[str, ...]:
    """Describe how a fidelity falls short of production, for the files of a prediction.

    Parameters
    ----------
    axes
        Fidelity axes of the model.
    fidelity
        Axis -> value in this prediction.
    production
        Axis -> value of the model itself for this input.

    Returns
    -------
    tuple of str
        One sentence, or nothing if no axis is below production.
    """
    fewer = [axis for axis in axes if fidelity[axis.name] < production[axis.name]]
    if not fewer:
        return ()
    listed = ", ".join(f"{a.name} {fidelity[a.name]} of {production[a.name]}" for a in fewer)
    if all(axis.counts_results for axis in fewer):
        return (f"fewer results than in production ({listed})",)
    return (f"below production fidelity ({listed}): a measurement, not a prediction to rely on",)
