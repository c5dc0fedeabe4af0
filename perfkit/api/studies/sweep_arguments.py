"""The arguments of a sweep, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perfkit.api.knob_values import Values, knob_values, texts_of
from perfkit.api.progress import CallProgress
from perfkit.api.subject import Fidelity, OptionValue, Subject, at_least, make_subject
from perfkit.api.versions.jaxlibs import Versions, make_versions
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.cpus import CPUS_KNOB
from perfkit.knobs.space import grid, read_configurations
from perfkit.models import DEFAULT_MODEL
from perfkit.models.workload import Workload
from perfkit.observers.registry import make_observers
from perfkit.records.store import Store
from perfkit.tuning.studies.sweep import SweepPlan


@dataclass(frozen=True, kw_only=True)
class SweepArguments:
    """The arguments of :func:`perfkit.sweep` that decide what is measured.

    Attributes
    ----------
    model, sizes, cpus, knobs, configurations, jaxlib, rounds, observe, fidelity, time_limit
        As :func:`perfkit.sweep` takes them.
    memory_limit, force
        As :func:`perfkit.sweep` takes them.
    options
        The model's own options and fidelity axes.
    """

    model: str = DEFAULT_MODEL
    sizes: Values | None = None
    cpus: Values | None = None
    knobs: Mapping[str, Values] | None = None
    configurations: Path | str | None = None
    jaxlib: str | Sequence[str] | None = None
    rounds: int = 3
    observe: Sequence[str] = ()
    fidelity: Fidelity | None = None
    time_limit: str | float | None = None
    memory_limit: str | int | None = None
    force: bool = False
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckedSweep:
    """A sweep whose arguments are possible.

    Attributes
    ----------
    subject
        Model, limits, and the workload that others are made of.
    workloads, configurations
        The grid.
    rounds
        Number of timed passes of each cell.
    versions
        Versions of jaxlib; None where they are not compared.
    impossible
        Combinations that are left out, one sentence each.
    """

    subject: Subject
    workloads: tuple[Workload, ...]
    configurations: tuple[Configuration, ...]
    rounds: int
    versions: Versions | None
    impossible: tuple[str, ...]

    def plan(self, store: Store, name: str | None = None) -> SweepPlan:
        """The plan of the sweep.

        Parameters
        ----------
        store
            Store of the records.
        name
            Digest of the study, see :class:`SweepPlan`.
        """
        model, versions = self.subject.model, self.versions
        return SweepPlan(
            model=model,
            catalogue=self.subject.catalogue if versions is None else versions.catalogue(model),
            workloads=self.workloads,
            configurations=self.configurations,
            store=store,
            rounds=self.rounds,
            interpreters={} if versions is None else versions.interpreters,
            reference_jaxlib=None if versions is None else versions.reference,
            name=name,
        )


def check_sweep(
    arguments: SweepArguments, progress: CallProgress, *, here: bool = True
) -> CheckedSweep:
    """Check the arguments of a sweep.

    Parameters
    ----------
    arguments
        The arguments.
    progress
        Follows the installation of versions of jaxlib.
    here
        Whether this machine measures all of it: its memory and its CPUs have to suffice.

    Raises
    ------
    UserError
        An argument is impossible, the input is bad, or a version of jaxlib does not install.
    """
    at_least("rounds", arguments.rounds, 1)
    subject = make_subject(
        arguments.model,
        arguments.options,
        fidelity=arguments.fidelity,
        time_limit=arguments.time_limit,
        memory_limit=arguments.memory_limit,
        force=arguments.force,
    )
    workloads = _workloads(subject, arguments.sizes)
    chosen = _configurations(
        subject, arguments.cpus, arguments.knobs or {}, arguments.configurations
    )
    versions = None if arguments.jaxlib is None else make_versions(arguments.jaxlib, progress)
    impossible: list[str] = []
    if versions is not None:
        crossed, impossible = versions.configurations(subject.model, chosen)
        chosen = sorted(crossed, key=lambda configuration: configuration != STOCK)
        if not chosen:
            raise UserError(f"there is nothing to measure: {impossible[0]}")
    if here:
        for configuration in chosen:
            configuration.ensure_possible()
            for workload in workloads:
                subject.refuse_without_memory(configuration, workload)
    make_observers(arguments.observe)
    return CheckedSweep(
        subject, tuple(workloads), tuple(chosen), arguments.rounds, versions, tuple(impossible)
    )


def _workloads(subject: Subject, sizes: Values | None) -> list[Workload]:
    if sizes is None:
        return [subject.workload]
    if "input" in subject.workload.source:
        raise UserError("--sizes makes its own inputs: leave out --input")
    return [
        subject.model.resized(subject.workload, size) for size in dict.fromkeys(texts_of(sizes))
    ]


def _configurations(
    subject: Subject,
    cpus: Values | None,
    knobs: Mapping[str, Values],
    file: Path | str | None,
) -> list[Configuration]:
    """Stock first where the grid holds it: the others are paired with the first one."""
    if file is not None:
        if knobs or cpus is not None:
            raise UserError("--configurations replaces --knob and --cpus: leave them out")
        return read_configurations(subject.catalogue, Path(file))
    if cpus is not None and CPUS_KNOB.name in knobs:
        raise UserError(f"knob {CPUS_KNOB.name!r} is given twice: write its values in one place")
    given = dict(knobs) if cpus is None else {**knobs, CPUS_KNOB.name: cpus}
    axes = {name: knob_values(subject.catalogue, name, values) for name, values in given.items()}
    found = grid(subject.catalogue, axes)
    return sorted(found, key=lambda configuration: configuration != STOCK)
