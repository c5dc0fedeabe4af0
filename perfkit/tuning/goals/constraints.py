"""Constraints on what a tuning searches and recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from perfkit.answers.agreement import AgreementClass
from perfkit.errors import UserError, unknown_name
from perfkit.knobs.allocators import ALLOCATOR_KNOB, ALLOCATORS
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.knob import Layer
from perfkit.models.base import Model
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.tuning.choice.rows import Row
from perfkit.tuning.search.strategy import Change, SearchSpace
from perfkit.units import bytes_text

AGREEMENTS = {each.label: each for each in (AgreementClass.FLOAT32, AgreementClass.BFLOAT16)}
"""Classes that may be demanded, by name. No knob promises equal bits."""


@dataclass(frozen=True)
class Constraints:
    """What a recommended configuration has to keep.

    Attributes
    ----------
    memory_bytes
        Largest peak of the resident memory at full depth; None for no bound.
    agreement
        Loosest agreement class of the answer with the reference.
    preload
        Whether allocators that need ``LD_PRELOAD`` are allowed.
    """

    memory_bytes: int | None = None
    agreement: AgreementClass = AgreementClass.BFLOAT16
    preload: bool = True

    @property
    def exclude_anything(self) -> bool:
        """Whether any configuration is excluded."""
        return self != Constraints()

    def violation(self, row: Row) -> str | None:
        """Why a configuration must not be recommended, or None if it keeps the constraints.

        The answer has to reach the demanded class, and the model has to promise it: a configuration
        of a looser class may reach a stricter one on a single input by accident.
        """
        if self.memory_bytes is not None and row.peak_rss_bytes > self.memory_bytes:
            return (
                f"its peak of {bytes_text(row.peak_rss_bytes)} exceeds the memory limit of "
                f"{bytes_text(self.memory_bytes)}"
            )
        for name in (row.agreement, row.declared):
            if name is not None and AGREEMENT_NAMES.index(name) > self.agreement:
                return f"its agreement class is {name}, not {self.agreement.label}"
        if not self.preload and needs_preload(row.settings):
            return "its allocator needs LD_PRELOAD"
        return None


def needs_preload(settings: Mapping[str, str]) -> bool:
    """Whether the allocator in ``settings`` is a library that ``LD_PRELOAD`` loads."""
    name = settings.get(ALLOCATOR_KNOB.name, ALLOCATOR_KNOB.default)
    return bool(ALLOCATORS[name].libraries)


def agreement_class(name: str) -> AgreementClass:
    """The agreement class of a name in :data:`AGREEMENTS`.

    Raises
    ------
    UserError
        There is no such class, or no configuration promises it.
    """
    if name not in AGREEMENTS:
        raise unknown_name("agreement class", name, AGREEMENTS)
    return AGREEMENTS[name]


def start_values(constraints: Constraints, model: Model) -> dict[str, str]:
    """Knob values that every searched configuration needs.

    They are empty where stock promises the demanded class. Otherwise they are those values of the
    reference configuration without which the model does not promise it.
    """
    if model.declared_class({}) <= constraints.agreement:
        return {}
    return dict(model.reference_values)


def constrained_space(space: SearchSpace, constraints: Constraints, model: Model) -> SearchSpace:
    """The changes of a search space that keep the constraints.

    A change that promises a looser class than the demanded one is left out, as is one that needs
    ``LD_PRELOAD`` where this is forbidden. Where stock itself promises a looser class, each change
    also sets the knobs of :func:`start_values`, which no configuration of the space leaves at their
    defaults, and these values alone are the first change.

    Parameters
    ----------
    space
        The changes that are worth trying.
    constraints
        What a recommended configuration has to keep. Memory is not known before a measurement.
    model
        Promises the agreement class of a configuration.

    Raises
    ------
    UserError
        No change keeps the constraints.
    """
    if not constraints.exclude_anything:
        return space
    start = start_values(constraints, model)
    first: Sequence[Change] = (tuple(sorted(start.items())),) if start else ()
    changes = (*first, *(_extended(change, start) for change in space.changes))
    kept = tuple(
        change
        for change in dict.fromkeys(changes)
        if _promises(change, constraints, model, space.catalogue)
        and (constraints.preload or not needs_preload(dict(change)))
    )
    if not kept and space.changes:
        raise UserError(
            "nothing is left to search: no value that is worth trying here keeps agreement class "
            f"{constraints.agreement.label}{'' if constraints.preload else ' without LD_PRELOAD'}"
        )
    return replace(space, changes=kept, required=frozenset(start))


def _extended(change: Change, start: Mapping[str, str]) -> Change:
    missing = tuple((name, value) for name, value in start.items() if name not in dict(change))
    return (*change, *missing)


def _promises(change: Change, constraints: Constraints, model: Model, catalogue: Catalogue) -> bool:
    own = {name: value for name, value in change if catalogue.knob(name).layer is Layer.MODEL}
    return model.declared_class(own) <= constraints.agreement
