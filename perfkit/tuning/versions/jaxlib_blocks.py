"""Measures configurations under several versions of jaxlib, in turns and in fresh processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perfkit.environments.environment import Environment
from perfkit.files import JsonData, remove, short_digest
from perfkit.knobs.configuration import Catalogue, Configuration
from perfkit.knobs.installed_flags import lacking_flags, lacking_sentence
from perfkit.knobs.jaxlib import JAXLIB, jaxlib_knob
from perfkit.knobs.knob import Layer
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import available_memory_bytes, setting_digest
from perfkit.records.roles import Role
from perfkit.records.schema import Record
from perfkit.records.store import Store
from perfkit.trial.answers import holds_answers
from perfkit.trial.limits import SHARE_OF_AVAILABLE_MEMORY
from perfkit.trial.request import TrialFiles, reference_file
from perfkit.tuning.memory_room import MemoryRoom
from perfkit.tuning.studies.blocks import COMPILED_FOLDER, BlocksPlan, measure_blocks
from perfkit.tuning.studies.progress import Progress
from perfkit.tuning.studies.runner import Runner
from perfkit.tuning.studies.session import Session


def interpreters_of(environments: Sequence[Environment]) -> dict[str, Interpreter]:
    """The Python of each environment but the running one, by version of jaxlib."""
    return {one.jaxlib: one.interpreter for one in environments if one.interpreter is not None}


def catalogue_of(model: Model, environments: Sequence[Environment], running: str) -> Catalogue:
    """The knobs of a model with the version of jaxlib among them."""
    versions = [one.jaxlib for one in environments]
    return Catalogue((*model.knobs, jaxlib_knob(versions, running)))


def possible_configurations(
    configurations: Sequence[Configuration],
    interpreters: Mapping[str, Interpreter],
    running: str,
) -> tuple[list[Configuration], list[str]]:
    """The configurations whose flags their jaxlib has, and a sentence for each other one.

    Parameters
    ----------
    configurations
        The configurations.
    interpreters
        The Python by version of jaxlib, for configurations that set one.
    running
        Version of jaxlib of the others.
    """
    kept, sentences = [], []
    for configuration in configurations:
        version = configuration.jaxlib
        flags = tuple(configuration.of_layer(Layer.XLA))
        lacking = lacking_flags(flags, None if version is None else interpreters[version])
        if lacking:
            why = lacking_sentence(lacking, version or running)
            sentences.append(f"{configuration.label} is not measured: {why}")
        else:
            kept.append(configuration)
    return kept, sentences


@dataclass(frozen=True)
class VersionsPlan:
    """Configurations and the versions of jaxlib that they are measured under.

    Attributes
    ----------
    model, workload
        What is predicted.
    settings
        Settings of each configuration, without the version.
    environments
        The environments.
    running
        Version of jaxlib of the running environment.
    store
        Store of the records.
    reference_jaxlib
        Version that computes the answer which all others are compared with.
    blocks, passes
        Number of blocks, and of passes of each process.
    """

    model: Model
    workload: Workload
    settings: tuple[Mapping[str, str], ...]
    environments: tuple[Environment, ...]
    running: str
    store: Store
    reference_jaxlib: str
    blocks: int
    passes: int

    @cached_property
    def interpreters(self) -> dict[str, Interpreter]:
        """The Python by version of jaxlib."""
        return interpreters_of(self.environments)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The knobs that may be set."""
        return catalogue_of(self.model, self.environments, self.running)

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """Each of the settings under each version."""
        return tuple(
            self.catalogue.configuration({**settings, JAXLIB: one.jaxlib})
            for settings in self.settings
            for one in self.environments
        )

    @cached_property
    def study(self) -> str:
        """Digest of the comparison: the same one is continued."""
        builds = {version: one.builds for version, one in self.interpreters.items()}
        same: list[JsonData] = [
            "jaxlibs",
            self.workload.digest,
            setting_digest(),
            [configuration.digest for configuration in self.configurations],
            builds,
            self.reference_jaxlib,
        ]
        return short_digest(same)

    def records(self) -> list[Record]:
        """All records of the comparison so far."""
        return [record for record in self.store.records() if record.study == self.study]


def measure_versions(
    plan: VersionsPlan,
    runner: Runner,
    progress: Progress,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Measure the blocks of a comparison that its store does not hold yet.

    Parameters
    ----------
    plan
        What is measured.
    runner
        Makes the trials; it knows the Python of each version.
    progress
        Receives the events.
    goes_on
        Asked before each block; False ends the measuring.
    """
    kept, sentences = possible_configurations(plan.configurations, plan.interpreters, plan.running)
    for sentence in sentences:
        progress.say(sentence)
    version = None if plan.reference_jaxlib == plan.running else plan.reference_jaxlib
    interpreter = None if version is None else plan.interpreters[version]
    answers = reference_file(plan.store.folder, plan.workload, interpreter)
    if not holds_answers(answers):
        values = {**plan.model.reference_values, JAXLIB: plan.reference_jaxlib}
        reference = plan.catalogue.configuration(values)
        with Session(runner, progress, plan.study, plan.store.append) as session:
            files = TrialFiles(save_compared=answers)
            session.open(plan.workload, reference, Role.REFERENCE, files)
    done = {record.block for record in plan.records() if record.role is Role.CONFIRM}
    memory_bytes = available_memory_bytes() * SHARE_OF_AVAILABLE_MEMORY
    room = MemoryRoom(
        plan.model,
        plan.catalogue,
        (plan.workload,),
        plan.records,
        memory_bytes,
        runner.available_bytes,
    )
    blocks = BlocksPlan(
        workload=plan.workload,
        configurations=tuple(kept),
        store=plan.store,
        study=plan.study,
        blocks=max(0, plan.blocks - len(done)),
        passes=plan.passes,
        reference=answers if holds_answers(answers) else None,
    )
    measure_blocks(blocks, runner, progress, fits=room.holds, goes_on=goes_on)
    if len(done) + blocks.blocks == len(
        {r.block for r in plan.records() if r.role is Role.CONFIRM}
    ):
        # Compiled programs take hundreds of megabytes, and only a further block would need them.
        remove(plan.store.folder / COMPILED_FOLDER)
