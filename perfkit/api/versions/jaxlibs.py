"""Versions of jaxlib for the calls that compare them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.progress import CallProgress, run_interruptibly
from perfkit.api.subject import Subject
from perfkit.api.versions.jaxlib_files import VERSIONS_FOLDER, save_known_answers
from perfkit.diagnose.jaxlibs import examine_environment, known_answers_of
from perfkit.diagnose.standing import remember
from perfkit.environments.environment import (
    Environment,
    environments_for,
    parse_versions,
    running_jaxlib,
)
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.jaxlib import JAXLIB
from perfkit.models.base import Model
from perfkit.records.interpreter import Interpreter
from perfkit.records.store import Store
from perfkit.stats.exact import first_look
from perfkit.tuning.studies.live import LiveRunner
from perfkit.tuning.versions.jaxlib_blocks import (
    VersionsPlan,
    catalogue_of,
    interpreters_of,
    measure_versions,
    possible_configurations,
)
from perfkit.tuning.versions.jaxlibs import (
    JaxlibComparison,
    KnownAnswers,
    compare_jaxlibs,
    confidence_among,
    reference_version,
)

SHARE_OF_BUDGET = 0.4
"""Share of the budget of a tuning that is kept for its comparison of versions. A block starts a
process for stock and for the recommended configuration under each version."""

PASSES = 2
"""Timed passes of each process of a block."""


@dataclass(frozen=True)
class Versions:
    """Versions of jaxlib to compare, each with its environment.

    Attributes
    ----------
    running
        Version of the running environment.
    environments
        The environments.
    known
        Known answers by version.
    """

    running: str
    environments: tuple[Environment, ...]
    known: Mapping[str, KnownAnswers]

    @property
    def interpreters(self) -> dict[str, Interpreter]:
        """The Python of each version but the running one."""
        return interpreters_of(self.environments)

    @property
    def reference(self) -> str:
        """The version that computes the answer which all others are compared with."""
        versions = [one.jaxlib for one in self.environments]
        return reference_version(self.running, versions, self.known)

    def catalogue(self, model: Model) -> Catalogue:
        """The knobs of a model with the version of jaxlib among them."""
        return catalogue_of(model, self.environments, self.running)

    def configurations(
        self, model: Model, configurations: Sequence[Configuration]
    ) -> tuple[list[Configuration], list[str]]:
        """Each configuration under each version, and a sentence for each one that is impossible.

        Parameters
        ----------
        model
            The model of the configurations.
        configurations
            The configurations, without a version.
        """
        catalogue = self.catalogue(model)
        crossed = [
            catalogue.configuration({**configuration.as_dict(), JAXLIB: one.jaxlib})
            for configuration in configurations
            for one in self.environments
        ]
        return possible_configurations(crossed, self.interpreters, self.running)


def make_versions(given: str | Sequence[str], progress: CallProgress) -> Versions:
    """Build the environments of versions of jaxlib, and examine each of them.

    Parameters
    ----------
    given
        The versions, e.g. ``0.11.0,0.12.0.1``.
    progress
        Follows the call.

    Raises
    ------
    UserError
        A version is malformed, does not exist or does not install.
    """
    wanted = parse_versions(given)
    running = running_jaxlib()
    with progress.study() as shown:
        environments = environments_for(wanted, shown.say)
        for environment in environments:
            for sentence in environment.replaced:
                shown.say(f"jaxlib {environment.jaxlib}: {sentence}")
        known = {}
        for environment in environments:
            shown.say(f"known answers of jaxlib {environment.jaxlib}")
            diagnosis = examine_environment(environment)
            interpreter = environment.interpreter
            remember(diagnosis, build=None if interpreter is None else interpreter.jaxlib_build)
            known[environment.jaxlib] = known_answers_of(diagnosis)
    return Versions(running, environments, known)


def compare_tuned(
    versions: Versions,
    subject: Subject,
    settings: Sequence[Mapping[str, str]],
    folder: Path,
    remaining_s: float,
    progress: CallProgress,
) -> JaxlibComparison | None:
    """Measure configurations under each version of jaxlib, in turns and in fresh processes.

    Parameters
    ----------
    versions
        The versions.
    subject
        What is predicted, and the limits of each trial.
    settings
        Settings of each configuration.
    folder
        Folder of the tuning; the records go to a folder in it.
    remaining_s
        Seconds that are left. One block is measured in any case, a further one only if it fits.
    progress
        Follows the measurement.

    Returns
    -------
    JaxlibComparison or None
        None where too little was measured for a comparison.
    """
    own = folder / VERSIONS_FOLDER
    plan = VersionsPlan(
        model=subject.model,
        workload=subject.workload,
        settings=tuple(settings),
        environments=versions.environments,
        running=versions.running,
        store=Store(own),
        reference_jaxlib=versions.reference,
        blocks=first_look(confidence_among(len(versions.environments))),
        passes=PASSES,
    )
    clock = _Blocks(remaining_s)
    with progress.study(budget_s=max(1.0, remaining_s)) as study:
        runner = LiveRunner(own, subject.limits, study.stage, interpreters=plan.interpreters)
        run_interruptibly(lambda: measure_versions(plan, runner, study, clock.goes_on), study)
    save_known_answers(own, versions.known)
    return compare_jaxlibs(plan.records(), versions.known)


class _Blocks:
    """Decides whether another block fits into the remaining time, by the longest one so far.

    Parameters
    ----------
    remaining_s
        Seconds that are left.
    """

    def __init__(self, remaining_s: float) -> None:
        self._deadline_s = time.monotonic() + remaining_s
        self._begin_s: float | None = None
        self._longest_s = 0.0

    def goes_on(self) -> bool:
        """Whether another block is measured; called before each one."""
        now_s = time.monotonic()
        if self._begin_s is not None:
            self._longest_s = max(self._longest_s, now_s - self._begin_s)
        first = self._begin_s is None
        self._begin_s = now_s
        return first or now_s + self._longest_s <= self._deadline_s
