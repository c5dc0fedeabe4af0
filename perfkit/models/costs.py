"""The CostModel protocol: the costs of a model, and the description of its jobs in a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

type Features = Mapping[str, float]
"""Name of a variable of the laws -> value, e.g. ``{"n": 256.0, "s": 5.0}``."""

type Options = Mapping[str, str | int | float | bool]
"""Name of an option of ``perfkit run`` that describes an input -> value."""

CONSTANT = "1"
"""Name of the term that depends on no feature."""

WARM_UP = "warm_up"
"""Name of the extra time of the first pass: pages, caches, thread pools."""


@dataclass(frozen=True)
class Feature:
    """A variable of the laws.

    Attributes
    ----------
    name
        Letters, digits and underscores, starting with a lower-case letter.
    measured
        Subject of messages about its measured values, e.g. ``the sizes measured``.
    from_fidelity
        Whether the fidelity alone determines it. Trials are drawn in one figure only where these
        features are equal.
    """

    name: str
    measured: str
    from_fidelity: bool = False


@dataclass(frozen=True)
class Terms:
    """Candidate terms of the laws.

    A term is a product of powers of features, such as ``s*n^2``, or :data:`CONSTANT`. A fit keeps
    those with a positive coefficient.

    Attributes
    ----------
    time
        Part or stage -> terms of its seconds. Import and tracing are constant unless they are
        named.
    other_time
        Terms of every part that ``time`` does not name.
    compiled_bytes
        Terms of the bytes that the compiler counts: arguments, outputs and temporary buffers.
    overhead_bytes
        Terms of the resident bytes beyond the program's and, once more, its results:
        interpreter, packages, compiler, features of the input.
    """

    time: Mapping[str, tuple[str, ...]]
    other_time: tuple[str, ...]
    compiled_bytes: tuple[str, ...]
    overhead_bytes: tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """Sizes that fits, calibrations and figures use, written as a user writes them.

    Attributes
    ----------
    fit
        Sizes that a fit measures, separated by commas: cheap, and enough for every term.
    compiled
        Sizes that a fit only compiles, for the compiler's count of bytes.
    calibration
        Size of a trial of about a minute in which the model's own work dominates.
    feasibility
        Sizes on the axis of the feasibility figures, ascending in cost.
    axis
        Title of that axis.
    mark
        Text after each size on that axis, e.g. a degree sign.
    calibration_further
        Larger size that a calibration measures too if its time allows; empty for none. Machines
        differ more in large products of matrices than in the rest.
    shallow
        Sizes that a fit measures with the shallow network, separated by commas, ascending. Their
        laws reach further for the same time. One of :attr:`fit` should be among them, to know the
        error of the prediction from the shallow network.
    table
        Sizes of a capacity table; empty for those of :attr:`feasibility`.
    """

    fit: str
    compiled: str
    calibration: str
    feasibility: tuple[str, ...]
    axis: str
    mark: str = ""
    calibration_further: str = ""
    shallow: str = ""
    table: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedTime:
    """A run time that was published for an accelerator.

    Attributes
    ----------
    device
        Name of the accelerator.
    size
        Size of the prediction, e.g. ``1024 tokens``.
    seconds
        Published time, without compilation.
    source
        Publication of the time, and what the time includes.
    """

    device: str
    size: str
    seconds: float
    source: str


@dataclass(frozen=True)
class Search:
    """A genetic search that has to end before a prediction begins, as its job states it.

    Attributes
    ----------
    seconds
        Wall seconds.
    cpus
        Number of CPUs.
    memory_bytes
        Memory, None where it is not stated.
    """

    seconds: float
    cpus: int
    memory_bytes: int | None


@dataclass(frozen=True)
class Job:
    """A prediction in a queue.

    Attributes
    ----------
    name
        Name of the job, unique in its queue.
    model
        Name of the model.
    size
        Size in the model's unit (:attr:`perfkit.models.base.Model.size_unit`), before padding.
    fidelity
        One value per fidelity axis of the model.
    options
        Options of ``perfkit run`` that describe the input.
    origin
        File or row that the job comes from, for messages.
    details
        Further facts about the input, which only the cost model of the job's model reads.
    notices
        Facts that a reader of the plan must know.
    search
        Genetic search before the prediction, None for none.
    """

    name: str
    model: str
    size: int
    fidelity: Mapping[str, int]
    options: Mapping[str, str]
    origin: str
    details: Mapping[str, str | int] = field(default_factory=dict)
    notices: tuple[str, ...] = field(default=(), compare=False)
    search: Search | None = None


@dataclass(frozen=True)
class Reject:
    """A job, row or machine that cannot be planned.

    Attributes
    ----------
    name
        Name of the job or machine.
    origin
        File or row that it comes from.
    reason
        Why it cannot be planned.
    """

    name: str
    origin: str
    reason: str

    @property
    def sentence(self) -> str:
        """Origin and reason."""
        return f"{self.origin}: {self.reason}"


class JobRow(BaseModel):
    """One row of a table of jobs; a model adds its own columns in a subclass.

    Numbers arrive as text, empty cells not at all.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=1000)]


class CostModel(Protocol):
    """The costs of a model and the columns of its jobs.

    A subclass must define the members without a value here. The others describe a model that pads
    nothing, reads no input files and was never published on an accelerator.
    """

    # Laws: the costs of a prediction as functions of its features.

    features: ClassVar[tuple[Feature, ...]]
    """All features. The first is the size, which must differ between the points of a fit."""
    terms: ClassVar[Terms]
    sizes: ClassVar[Sizes]
    contrast: ClassVar[Mapping[str, int]] = {}
    """Fidelity at which a fit also measures its smallest, middle and largest size, to separate
    the costs of a feature that the fidelity determines. Empty where there is no such feature."""
    fit_settings: ClassVar[Mapping[str, str]] = {}
    """Settings of a fit or calibration that is given neither a preset nor these knobs. A model that
    pads its inputs sets as little padding as possible here: padded alike, small sizes cost as much
    as large ones and say nothing about a law."""
    input_options: ClassVar[tuple[str, ...]] = ()
    """Options that choose an input; without one of them a calibration makes its own input."""

    def features_at(
        self, size: int, options: Options, fidelity: Mapping[str, int], settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return the features of a prediction.

        Parameters
        ----------
        size
            Size in the model's unit, before padding.
        options
            Options that describe the input: a workload's source, or a job's options.
        fidelity
            One value per fidelity axis.
        settings
            Settings of the configuration. Only those of the model's own knobs are read.

        Raises
        ------
        UserError
            The input is impossible with these settings.
        """
        ...

    def resized(
        self, features: Features, size: float, settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return ``features`` at another size: the first feature, and those that depend on it."""
        ...

    def refuse_unplanned(self, options: Options) -> None:
        """Refuse options that change what a prediction costs in ways that no law describes.

        Raises
        ------
        UserError
            Names the option.
        """
        return

    # Programs: when predictions can share compiled code.

    program_axes: ClassVar[tuple[str, ...]] = ()
    """Fidelity axes that are compiled into a program. The others only change how often it is
    called."""
    padding_knob: ClassVar[str | None] = None
    """Name of the knob that sets the size to which an input is padded; None if no knob does."""

    def shares_programs(self, settings: Mapping[str, str]) -> bool:
        """Return whether different inputs of equal features run the same program."""
        return True

    def calls(self, fidelity: Mapping[str, int]) -> int:
        """Return how often a prediction calls its compiled function."""
        ...

    # Jobs: tables, files and command lines.

    production: Mapping[str, int]
    """Fidelity of a job that asks for nothing else: one value per axis."""
    what_if_axes: ClassVar[Mapping[str, int]] = {}
    """Fidelity axis that ``perfkit plan`` can change for a whole queue -> its largest value."""
    columns: ClassVar[tuple[str, ...]]
    """Columns that a row of a table of jobs may have, in addition to ``name`` and ``model``."""
    input_columns: ClassVar[tuple[str, ...]]
    """Columns that can each name an input, for messages."""
    size_column: ClassVar[str]
    """Column that holds the size, for jobs that are given by their size alone."""
    plan_columns: ClassVar[Mapping[str, str]] = {}
    """Column of the files of a plan -> the fidelity axis whose value the column holds."""
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes, in lower case, of files that :meth:`jobs_in_file` reads."""

    def job(self, row: Mapping[str, str], folder: Path, origin: str) -> Job:
        """Return the job of a row.

        Parameters
        ----------
        row
            ``name`` and some of :attr:`columns`, as text; empty cells are left out.
        folder
            Folder that relative paths in the row start from.
        origin
            File and row, for messages.

        Raises
        ------
        pydantic.ValidationError
            A value is missing or impossible.
        UserError
            The input that the row names cannot be read or predicted.
        """
        ...

    def jobs_in_file(self, path: Path) -> tuple[list[Job], list[Reject]]:
        """Return the jobs of a file with one of :attr:`suffixes`, and those that cannot be planned.

        Jobs ask for production fidelity.
        """
        return [], []

    def run_options(self, job: Job, stem: Path) -> Mapping[str, str]:
        """Return the options of ``perfkit run`` that describe the job's input.

        Parameters
        ----------
        job
            A job of this model.
        stem
            Path without suffix where an input that no file holds yet is written.

        Raises
        ------
        UserError
            The input cannot be read or written.
        """
        return job.options

    # Accelerators: published times to compare a plan with.

    published: ClassVar[Sequence[PublishedTime]] = ()

    def published_s(self, job: Job, device: str) -> float | None:
        """Return the published seconds of a job, None where no published time is near it.

        Parameters
        ----------
        job
            A job of this model.
        device
            A device of :attr:`published`.
        """
        return None
