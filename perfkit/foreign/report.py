"""What became of a plan in all processes of a command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.foreign.guard_report import guard_report, shortened
from perfkit.foreign.hook import hook_failures, started_processes
from perfkit.foreign.jax_setup import COMPILE, HITS, REQUESTS, UNCACHED
from perfkit.foreign.process_watch import JaxProcess
from perfkit.foreign.reading import ProcessReport, read_journals, unreached


@dataclass(frozen=True)
class SettingOutcome:
    """What became of one setting.

    Attributes
    ----------
    times
        How often it took effect.
    details
        What was changed -> how often; without those that need no words.
    reasons
        Why it could not be applied -> how often.
    """

    times: int
    details: Mapping[str, int]
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Compilations:
    """Programs that were compiled or read from JAX's persistent compilation cache.

    Attributes
    ----------
    hits, misses
        Programs that were read from the cache, and that were looked up there in vain.
    uncached
        Programs that were compiled without a cache.
    wall_s
        Seconds of all compilations, of all processes together.
    """

    hits: int
    misses: int
    uncached: int
    wall_s: float


@dataclass(frozen=True)
class JaxlibOfProcess:
    """The jaxlib that a process of the command ran on.

    Attributes
    ----------
    python
        The Python of the process.
    build
        The build of jaxlib, see :func:`perfkit.builds.installed_build`.
    xla_flags
        The value of ``XLA_FLAGS``.
    """

    python: Path
    build: str
    xla_flags: str


@dataclass(frozen=True)
class ForeignReport:
    """What became of a plan.

    Attributes
    ----------
    started
        Number of Python processes that followed the plan, forks not counted.
    jax_processes
        Number of them that imported JAX.
    unreached
        One sentence for each process that ran JAX without following the plan.
    settings
        Setting -> what became of it; settings that nothing was reported of are missing.
    compilations
        What was compiled.
    versions
        Version of Python and of packages; of the first process that imported JAX.
    jaxlib
        The jaxlib of that process; None if it is no installed distribution.
    models
        Models whose packages the program imported, mapped to the package.
    inputs
        Name and size of each input that was predicted.
    sentences
        Sentences that belong to no setting.
    guard
        What the guard counted, see :func:`perfkit.foreign.guard_report.guard_report`.
    """

    started: int
    jax_processes: int
    unreached: tuple[str, ...]
    settings: Mapping[str, SettingOutcome]
    compilations: Compilations
    versions: Mapping[str, str]
    jaxlib: JaxlibOfProcess | None
    models: Mapping[str, str]
    inputs: tuple[tuple[str, int], ...]
    sentences: tuple[str, ...]
    guard: Mapping[str, Any]


def read_report(folder: Path, jax_processes: Sequence[JaxProcess] = ()) -> ForeignReport:
    """Read and add up what all processes of a command left.

    Parameters
    ----------
    folder
        Folder of the journals.
    jax_processes
        Processes in which JAX was found from outside.
    """
    reports = read_journals(folder)
    with_jax = [report for report in reports if report.imported_jax]
    said = (sentence for report in reports for sentence in report.sentences)
    return ForeignReport(
        started=started_processes(folder),
        jax_processes=len(with_jax),
        unreached=tuple(map(_unreached_sentence, unreached(jax_processes, reports))),
        settings=_outcomes(reports),
        compilations=_compilations(reports),
        versions=next((report.versions for report in with_jax), {}),
        jaxlib=_jaxlib(with_jax),
        models={name: package for report in reports for name, package in report.models.items()},
        inputs=tuple(dict.fromkeys(found for report in reports for found in report.inputs)),
        sentences=tuple(dict.fromkeys([*said, *hook_failures(folder)])),
        guard=guard_report(reports, jax_processes),
    )


def _jaxlib(with_jax: Sequence[ProcessReport]) -> JaxlibOfProcess | None:
    for report in with_jax[:1]:
        match report.jaxlib:
            case {"python": str(python), "build": str(build), "xla_flags": str(flags)}:
                return JaxlibOfProcess(Path(python), build, flags)
    return None


def _unreached_sentence(process: JaxProcess) -> str:
    return (
        f"process {process.pid} ({shortened(process.command)}) loaded JAX without perfkit's hook: "
        "its environment or an option (-I, -E, -S) kept it out"
    )


def _outcomes(reports: Sequence[ProcessReport]) -> dict[str, SettingOutcome]:
    times: Counter[str] = Counter()
    details: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for report in reports:
        for row in report.took_effect:
            times[row.entry["setting"]] += row.first
            if row.entry["detail"]:
                own = details.setdefault(row.entry["setting"], Counter())
                own[row.entry["detail"]] += row.first
        for row in report.could_not:
            own = reasons.setdefault(row.entry["setting"], Counter())
            own[row.entry["reason"]] += row.first
    return {
        name: SettingOutcome(times[name], details.get(name, {}), reasons.get(name, {}))
        for name in dict.fromkeys([*times, *reasons])
    }


def _compilations(reports: Sequence[ProcessReport]) -> Compilations:
    events: Counter[str] = Counter()
    for report in reports:
        events.update(report.events)
    return Compilations(
        hits=events[HITS],
        misses=events[REQUESTS] - events[HITS],
        uncached=events[UNCACHED],
        wall_s=sum(report.durations_s.get(COMPILE, 0.0) for report in reports),
    )
