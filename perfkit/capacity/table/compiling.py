"""The compiler's count of bytes at the sizes of a table: programs are compiled and not run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfkit.capacity.laws.fit import Compiled, ModelFit
from perfkit.capacity.laws.law import fit_law
from perfkit.capacity.laws.observation import observe
from perfkit.capacity.laws.terms import size_feature
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.records.schema import Record
from perfkit.units import seconds_text

type CompileOne = Callable[[Workload, float], Record]
"""Compiles the program of a workload within a number of seconds and returns the record."""


@dataclass(frozen=True)
class CompiledFit:
    """A fit with further points at which the compiler's count of bytes is known.

    Attributes
    ----------
    fit
        The fit.
    notices
        Sentences on sizes that were not compiled.
    """

    fit: ModelFit
    notices: tuple[str, ...] = ()


def table_workloads(model: str, sizes: Sequence[str]) -> list[Workload]:
    """Return synthetic inputs of the sizes whose programs are those of production.

    The program does not depend on the fidelity axes outside
    :attr:`perfkit.models.costs.CostModel.program_axes`, which take their low value.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes as a user writes them.

    Raises
    ------
    UserError
        A size is impossible, or the model's package is not installed.
    """
    chosen = get_model(model)
    costs = chosen.costs
    fidelity = {
        axis.name: costs.production[axis.name] if axis.name in costs.program_axes else axis.low
        for axis in chosen.fidelity_axes
    }
    base = chosen.workload({}, {})
    found = [chosen.resized(base, size).with_fidelity(**fidelity) for size in sizes]
    return sorted(found, key=lambda workload: workload.size)


def with_compiled_sizes(
    fit: ModelFit,
    workloads: Sequence[Workload],
    features_of: Callable[[Workload], dict[str, float]],
    compile_one: CompileOne,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> CompiledFit:
    """Add the compiler's count of bytes at each workload, as far as the time allows.

    Parameters
    ----------
    fit
        The fit.
    workloads
        Workloads in ascending size.
    features_of
        Returns the features of a workload in the configuration of the fit.
    compile_one
        Compiles a workload.
    limit_s
        Seconds for all compilations together. A compilation that takes longer than what is left is
        ended; none is started that would take as long as the one before it and has less time left.
    clock
        Monotonic clock in seconds.

    Returns
    -------
    CompiledFit
        Counts of these programs replace those that the fit has at the same features, and the law
        of compiled bytes is fitted to all counts.
    """
    begin_s = clock()
    last_s = 0.0
    known: list[Compiled] = []
    notices: list[str] = []
    for number, workload in enumerate(workloads):
        left_s = limit_s - (clock() - begin_s)
        reason = f"the limit of {seconds_text(limit_s)} for compiling is reached"
        if left_s > last_s:
            started_s = clock()
            record = compile_one(workload, left_s)
            last_s = clock() - started_s
            seen = observe(record)
            if seen is not None:
                found = features_of(workload)
                known.append(Compiled(features=found, compiled_bytes=seen.compiled_bytes))
                continue
            reason = f"{record.outcome.value.replace('_', ' ')} ({record.reason})"
        unit = get_model(fit.model).size_unit
        missing = ", ".join(f"{each.size:,}" for each in workloads[number:])
        notices.append(f"not compiled here: {missing} {unit}, {reason}")
        break
    replaced = [each.features for each in known]
    others = [each for each in fit.compiled_exactly if each.features not in replaced]
    return CompiledFit(_refitted(fit, (*known, *others)), tuple(notices))


def _refitted(fit: ModelFit, points: tuple[Compiled, ...]) -> ModelFit:
    """Return the fit with the law of compiled bytes fitted to all points, which reach further."""
    law = fit.compiled
    # A fit whose points are too few for the terms keeps its law.
    with contextlib.suppress(UserError):
        law = fit_law(
            "memory",
            get_model(fit.model).costs.terms.compiled_bytes,
            [each.features for each in points],
            [float(each.compiled_bytes) for each in points],
            size=size_feature(fit.model),
        )
    return fit.model_copy(update={"compiled_exactly": points, "compiled": law})
