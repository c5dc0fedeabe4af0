"""Examines several versions of jaxlib, each in an environment of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.examiner import NotStartedError, Setup, examine_setup
from perfkit.diagnose.noise import smallest_workload
from perfkit.environments.environment import Environment, environments_for, running_jaxlib
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.environment import child_environment
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.store import Store
from perfkit.stats.exact import first_look
from perfkit.trial.limits import Limits
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.studies.progress import Progress, SilentProgress
from perfkit.tuning.versions.jaxlib_blocks import VersionsPlan, measure_versions
from perfkit.tuning.versions.jaxlibs import (
    JaxlibComparison,
    KnownAnswers,
    compare_jaxlibs,
    confidence_among,
    reference_version,
)

PASSES = 4
"""Timed passes of each process."""


@dataclass(frozen=True)
class VersionsExamination:
    """Versions of jaxlib, examined and measured on this machine.

    Attributes
    ----------
    diagnoses
        Known answers by version, in the order in which the versions were given.
    comparison
        Times side by side; None where too few processes ran.
    took_s
        Seconds that the whole examination took.
    """

    diagnoses: Mapping[str, Diagnosis]
    comparison: JaxlibComparison | None
    took_s: float

    @property
    def healthy(self) -> bool:
        """Whether every version gives every known answer right."""
        return all(diagnosis.healthy for diagnosis in self.diagnoses.values())


def examine_environment(environment: Environment) -> Diagnosis:
    """Run all known-answer programs with the jaxlib of an environment, under stock settings.

    A process that crashes or prints no answers is a diagnosis, too: none of its answers is right.
    """
    try:
        return examine_setup(Setup(child_environment(STOCK), environment.python))
    except NotStartedError as error:
        return Diagnosis(environment.jaxlib, "", (Answer("examination", False, str(error)),))


def known_answers_of(diagnosis: Diagnosis) -> KnownAnswers:
    """The numbers of a diagnosis."""
    wrong = tuple(answer.name for answer in diagnosis.wrong)
    total = len(diagnosis.answers)
    return KnownAnswers(total - len(wrong), total, wrong)


def examine_versions(
    versions: Sequence[str],
    model: Model,
    *,
    folder: Path | None = None,
    blocks: int | None = None,
    progress: Progress | None = None,
    announce: Callable[[Workload], object] = lambda workload: None,
) -> VersionsExamination:
    """Examine versions of jaxlib and time the smallest workload of a model under each, in turns.

    Parameters
    ----------
    versions
        The versions.
    model
        The model.
    folder
        Folder of the records; None keeps none.
    blocks
        Number of processes per version; by default as many as intervals need.
    progress
        Receives the events of the measurement; None for nothing.
    announce
        Called with the workload before it is measured.

    Raises
    ------
    UserError
        A version cannot be installed, or jaxlib is not installed here.
    """
    begin_s = time.monotonic()
    progress = progress or SilentProgress()
    running = running_jaxlib()
    environments = environments_for(versions, progress.say)
    for environment in environments:
        for sentence in environment.replaced:
            progress.say(f"jaxlib {environment.jaxlib}: {sentence}")
    diagnoses = {}
    for environment in environments:
        progress.say(f"known answers of jaxlib {environment.jaxlib}")
        diagnoses[environment.jaxlib] = examine_environment(environment)
    known = {version: known_answers_of(found) for version, found in diagnoses.items()}
    workload = smallest_workload(model)
    announce(workload)
    with TemporaryDirectory(prefix="perfkit-jaxlibs-") as scratch:
        store = folder or Path(scratch)
        plan = VersionsPlan(
            model=model,
            workload=workload,
            settings=({},),
            environments=environments,
            running=running,
            store=Store(store),
            reference_jaxlib=reference_version(running, versions, known),
            blocks=first_look(confidence_among(len(environments))) if blocks is None else blocks,
            passes=PASSES,
        )
        runner = LiveRunner(store, Limits(), progress.stage, interpreters=plan.interpreters)
        measure_versions(plan, runner, progress)
        comparison = compare_jaxlibs(plan.records(), known)
    return VersionsExamination(diagnoses, comparison, time.monotonic() - begin_s)
