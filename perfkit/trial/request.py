"""The request for a trial, with its labels and files, and the file of a reference answer."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from perfkit.builds import source_digest
from perfkit.errors import NotWrittenError
from perfkit.files import JsonData, reason_of, short_digest
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload
from perfkit.observers.observer import Observer
from perfkit.records.interpreter import Interpreter
from perfkit.records.machine import answers_digest
from perfkit.records.roles import Role
from perfkit.records.stages import LAST_STAGE, StageName
from perfkit.trial.limits import Limits
from perfkit.trial.messages import GUARD_OFF, TrialSpec

REFERENCE_GENERATION = 3
"""Raised with each change of what models compare or of how it is stored."""


@dataclass(frozen=True)
class TrialLabels:
    """Labels of a trial in its record.

    Attributes
    ----------
    study
        Digest of the study, None for a trial of no study.
    role
        Purpose of the trial in its study.
    block
        Name of the block: the trials of a block run interleaved.
    shared_start
        Whether another trial starts at the same time. The two share the CPUs until both have made
        their first pass.
    shared_process
        Whether the trial runs in a process that holds the programs of other trials too.
    instances
        Number of trials of the block that run at the same time, each on CPUs of its own.
    """

    study: str | None = None
    role: Role = Role.SINGLE
    block: str | None = None
    shared_start: bool = False
    shared_process: bool = False
    instances: int = 1


@dataclass(frozen=True)
class TrialFiles:
    """Files that a trial reads and writes.

    Attributes
    ----------
    reference
        File of compared quantities that the answer is compared with.
    save_compared
        File to write the trial's own compared quantities to.
    output_folder
        Folder to write the prediction to.
    manifest
        File that lists the files of the prediction; by default in the output folder.
    overwrite
        Whether the prediction replaces files of the output folder that are of no prediction.
    compile_cache
        Folder of JAX's persistent compilation cache.
    """

    reference: Path | None = None
    save_compared: Path | None = None
    output_folder: Path | None = None
    manifest: Path | None = None
    overwrite: bool = False
    compile_cache: Path | None = None


@dataclass(frozen=True)
class TrialRequest:
    """The description of a trial to run.

    Attributes
    ----------
    workload
        Model, input and fidelity.
    configuration
        Knob values.
    store_folder
        Folder of the store, which must exist; the folder of the trial is created in it.
    limits
        Limits of time and memory.
    labels
        Labels for the record.
    files
        Files that the trial reads and writes.
    guard
        Mode of the domain guard: ``off``, ``lift`` or ``zero``.
    last_stage
        Stage after which the trial ends. ``trace`` and ``compile`` end it before the first pass:
        no pass is possible, and memory that only a run would need does not end it.
    observers
        Observers of the trial.
    interpreter
        The Python that runs the trial; None for this one.

    Raises
    ------
    ValueError
        Observers are to watch a shared process, in which they could not tell trials apart, or the
        interpreter has another jaxlib than the configuration sets.
    """

    workload: Workload
    configuration: Configuration
    store_folder: Path
    limits: Limits = field(default_factory=Limits)
    labels: TrialLabels = TrialLabels()
    files: TrialFiles = TrialFiles()
    guard: str = GUARD_OFF
    last_stage: StageName = LAST_STAGE
    observers: tuple[Observer, ...] = ()
    interpreter: Interpreter | None = None

    def __post_init__(self) -> None:
        if self.labels.shared_process and self.observers:
            raise ValueError("observers need a process of the trial's own, not a shared one")
        found = None if self.interpreter is None else self.interpreter.jaxlib
        if self.configuration.jaxlib not in (None, found):
            raise ValueError(f"jaxlib {self.configuration.jaxlib} is set, but {found} would run")

    def spec(
        self, affinity: tuple[int, ...], memory_limit_bytes: int, observers: tuple[str, ...]
    ) -> TrialSpec:
        """The specification for the child.

        Parameters
        ----------
        affinity
            CPUs that the child binds itself to.
        memory_limit_bytes
            Limit of the resident set.
        observers
            Names of the observers that work inside the child.
        """
        shared = self.labels.shared_process
        files = {each.name: getattr(self.files, each.name) for each in fields(TrialFiles)}
        files |= {
            name: str(path.resolve()) for name, path in files.items() if isinstance(path, Path)
        }
        return TrialSpec(
            workload=self.workload.as_dict(),
            overrides=self.configuration.overrides(),
            affinity=affinity,
            memory_limit_bytes=memory_limit_bytes,
            guard=self.guard,
            last_stage=self.last_stage,
            observers=observers,
            compiler_options=self.configuration.compiler_options() if shared else {},
            python=None if self.interpreter is None else str(self.interpreter.python),
            **files,
        )


@dataclass(frozen=True)
class AnswerBasis:
    """Everything that the answer of the reference configuration depends on.

    Attributes
    ----------
    workload
        Digest of the workload, which covers the input and the identity of the weights.
    installation
        Digest of the installed packages and the CPU; see
        :func:`perfkit.records.machine.answers_digest`.
    sources
        Digest of the source code of perfkit's models, None where it cannot be read.
    generation
        Number of the format that answers are stored in.
    """

    workload: str
    installation: str
    sources: str | None
    generation: int = REFERENCE_GENERATION

    @classmethod
    def here(cls, workload: Workload, interpreter: Interpreter | None = None) -> AnswerBasis:
        """The basis of the answer of a workload on this machine.

        Parameters
        ----------
        workload
            The workload.
        interpreter
            The Python that computes the answer; None for this one.
        """
        installation = answers_digest(interpreter)
        return cls(workload.digest, installation, source_digest("perfkit.models"))

    @property
    def digest(self) -> str:
        """Short digest of all attributes."""
        same: list[JsonData] = [self.generation, self.workload, self.installation, self.sources]
        return short_digest(same)


def reference_file(
    folder: Path, workload: Workload, interpreter: Interpreter | None = None
) -> Path:
    """File in a store with the compared quantities of the reference configuration.

    A store that two machines share, or that outlives an upgrade, holds a file for each
    :class:`AnswerBasis`.

    Parameters
    ----------
    folder
        Folder of the store.
    workload
        The workload.
    interpreter
        The Python that computes the reference; None for this one.
    """
    return folder / f"reference-{AnswerBasis.here(workload, interpreter).digest}.answers"


def make_folder(store_folder: Path, folder: Path) -> None:
    """Make the folder of a trial, which does not exist yet.

    The folder of the store is not made: if it was deleted meanwhile, earlier records are gone, and
    going on would hide that.

    Parameters
    ----------
    store_folder, folder
        Folder of the store, and that of the trial.

    Raises
    ------
    NotWrittenError
        The folder of the store is gone, or cannot be written.
    """
    try:
        if not store_folder.is_dir():
            raise NotWrittenError(
                f"the folder {store_folder} was deleted while perfkit ran; run the command again"
            )
        folder.mkdir(parents=True)
    except OSError as error:
        raise NotWrittenError(
            f"the folder of the trial {folder} cannot be created ({reason_of(error)}); make room "
            "or name another folder, and run the command again"
        ) from error
