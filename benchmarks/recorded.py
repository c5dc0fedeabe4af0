"""Recorded sweeps: how fast many configurations of one workload were on a named machine.

A sweep is a JSON document, compressed with xz. It holds the passes of each configuration and those
of stock, or of a steadier base, in the same rounds, so that the ratio of the two is free of the
drift of the machine, and the seconds of everything else that a trial costs.
:mod:`benchmarks.replayed` replays it.
"""

from __future__ import annotations

import itertools
import lzma
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.models.workload import Workload
from perfkit.records.base import FrozenModel
from perfkit.records.bounded import SHORTEST_PASS_S, Count, Moment, Seconds
from perfkit.records.findings import AgreementRecord, MachineRecord
from perfkit.records.reason import fault_of
from perfkit.records.schema import Outcome, WorkloadRecord
from perfkit.records.settings import settings_digest, settings_label

SUFFIX = ".json.xz"

PLAIN_BYTES_MOST = 64 * 2**20
"""Largest uncompressed size of a file that is read; a sweep of 1000 configurations has 1 MB."""

type PassSeconds = Annotated[Seconds, Field(ge=SHORTEST_PASS_S)]
"""Wall seconds of a pass, by which others are divided."""

type Settings = tuple[tuple[str, str], ...]
"""Pairs of knob and value that differ from stock, sorted by knob."""


class RecordedProgram(FrozenModel):
    """The compiled program of a configuration.

    Attributes
    ----------
    code_bytes, temporary_bytes, argument_bytes, output_bytes
        Memory of the program, from XLA's ``memory_analysis``.
    """

    code_bytes: Count
    temporary_bytes: Count
    argument_bytes: Count
    output_bytes: Count


class RecordedConfiguration(FrozenModel):
    """The trial of one configuration.

    Attributes
    ----------
    settings
        Values of the knobs that differ from stock.
    outcome, reason
        How the trial ended, and why it did not end well.
    passes_s
        Wall seconds of the timed passes, ``[rounds]``. For stock, the passes of all rounds.
    base_s
        Wall seconds of a pass of stock in the same rounds, ``[rounds]``. Where the sweep has
        another base, they are those of the base times the median ratio of stock to it.
    first_s
        Wall seconds of the first pass; None where there was none.
    compile_s
        Wall seconds of the compilation; None where the trial ended before it did.
    program
        The compiled program; None where the trial did not compile.
    peak_rss_bytes
        Peak resident memory of the process.
    shared_process
        Whether the process held other programs too, so that its memory is not that of this
        configuration.
    agreement
        Agreement of the answer with the reference; None where it was not compared.
    part_times_s
        Wall seconds of a pass by stack of the network, from a traced pass; None where none was
        traced.
    """

    settings: dict[str, str]
    outcome: Outcome
    reason: str = ""
    passes_s: list[PassSeconds] = Field(default_factory=list)
    base_s: list[PassSeconds] = Field(default_factory=list)
    first_s: PassSeconds | None = None
    compile_s: Seconds | None = None
    program: RecordedProgram | None = None
    peak_rss_bytes: Count = 0
    shared_process: bool = False
    agreement: AgreementRecord | None = None
    part_times_s: dict[str, Seconds] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len(self.passes_s) != len(self.base_s):
            raise ValueError(
                f"{self.label} has {len(self.passes_s)} passes and {len(self.base_s)} of stock; "
                "expected equal numbers"
            )
        if self.outcome is Outcome.OK and not self.passes_s:
            raise ValueError(f"{self.label} ended well without a pass")
        return self

    @property
    def key(self) -> Settings:
        """The settings, sorted by knob."""
        return tuple(sorted(self.settings.items()))

    @property
    def label(self) -> str:
        """A short text for a person: ``stock``, or the settings."""
        return settings_label(self.key)

    @property
    def digest(self) -> str:
        """Digest of the settings, as that of a configuration."""
        return settings_digest(self.key)

    @property
    def ratio(self) -> float:
        """Median of ``configuration / stock`` over the rounds; NaN without a round."""
        pairs = zip(self.passes_s, self.base_s, strict=True)
        return statistics.median([own / base for own, base in pairs] or [math.nan])

    @property
    def right(self) -> bool:
        """Whether the trial ended well, with an answer that agrees with the reference."""
        return self.outcome is Outcome.OK


class StartSeconds(FrozenModel):
    """Seconds that trials cost apart from compilations and passes, medians over the sweep.

    Attributes
    ----------
    process_s
        Start of a process, with the imports and the weights.
    prepare_s
        Arguments of the model from the input, once per process and set of the model's knobs.
    lower_s
        Tracing and lowering, once per process and set of the model's knobs.
    check_s
        Check of an answer.
    """

    process_s: Seconds
    prepare_s: Seconds
    lower_s: Seconds
    check_s: Seconds

    @property
    def sum_s(self) -> float:
        """Seconds of a start in a process of its own, up to the compilation."""
        return self.process_s + self.prepare_s + self.lower_s


class RecordedSweep(FrozenModel):
    """Configurations of one workload at one depth, measured on one machine.

    Attributes
    ----------
    format, version
        Identify the file.
    created
        When the sweep ended, in UTC, ISO 8601.
    workload
        The workload, with its depth.
    parts
        How often each part of the model runs in one pass.
    machine, allowed_cpus, versions
        Machine, number of CPUs of each trial, and versions of Python, perfkit and packages.
    notices
        What a reader of the times must know, in sentences.
    starts
        What trials cost apart from compilations and passes.
    base
        Settings of the configuration that all others were measured in turns with.
    configurations
        The measured configurations, stock first.
    """

    format: Literal["perfkit-recorded-sweep"] = "perfkit-recorded-sweep"
    version: Literal[1] = 1
    created: Moment
    workload: WorkloadRecord
    parts: dict[str, Count]
    machine: MachineRecord
    allowed_cpus: Annotated[Count, Field(ge=1)]
    versions: dict[str, str | None]
    notices: list[str] = Field(default_factory=list)
    starts: StartSeconds
    base: dict[str, str] = Field(default_factory=dict)
    configurations: Annotated[list[RecordedConfiguration], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        stock, *others = self.configurations
        if stock.settings or not stock.right:
            raise ValueError("its first configuration is not stock, or stock failed")
        if len({one.key for one in self.configurations}) < 1 + len(others):
            raise ValueError("it has two entries for one configuration")
        return self

    @property
    def stock(self) -> RecordedConfiguration:
        """The entry of stock."""
        return self.configurations[0]

    @property
    def by_settings(self) -> Mapping[Settings, RecordedConfiguration]:
        """The entries by sorted settings."""
        return {one.key: one for one in self.configurations}

    @property
    def stock_s(self) -> float:
        """Seconds of a pass of stock: the median over all rounds."""
        return statistics.median(self.stock.passes_s)

    def level_s(self, entry: RecordedConfiguration) -> float:
        """Seconds of a pass of a configuration: those of stock times the median ratio to stock."""
        return self.stock_s * entry.ratio

    @property
    def optimum(self) -> RecordedConfiguration:
        """The configuration with the shortest pass of all whose answer is right."""
        right = (one for one in self.configurations if one.right)
        return min(right, key=lambda one: one.ratio)

    @property
    def factors(self) -> Mapping[str, tuple[str | None, ...]]:
        """By knob, the recorded values in the order of the file; None stands for the default."""
        names = dict.fromkeys(name for one in self.configurations for name in one.settings)
        return {
            name: tuple(dict.fromkeys(one.settings.get(name) for one in self.configurations))
            for name in names
        }

    @property
    def missing(self) -> tuple[Settings, ...]:
        """The combinations of the recorded values that were not measured."""
        products = itertools.product(
            *([(name, value) for value in values] for name, values in self.factors.items())
        )
        all_settings = (
            tuple(sorted((name, value) for name, value in pairs if value is not None))
            for pairs in products
        )
        return tuple(one for one in all_settings if one not in self.by_settings)

    def ensure_factorial(self) -> None:
        """Check that a search may combine the recorded values in any way.

        Raises
        ------
        UserError
            A combination of the recorded values was not measured.
        """
        if self.missing:
            raise UserError(
                f"the sweep of {self.title} cannot be searched, because not all combinations of "
                f"its values were measured: {len(self.missing)} are missing, e.g. "
                f"{settings_label(self.missing[0])}"
            )

    @property
    def title(self) -> str:
        """Model, input and depth, for messages and tables."""
        return f"{self.workload.model}, {self.workload.name}, {self.workload.depth} depth"

    def as_workload(self) -> Workload:
        """The recorded workload."""
        return Workload.from_dict(self.workload.model_dump())


def write_sweep(path: Path, sweep: RecordedSweep) -> None:
    """Write a sweep.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    plain = sweep.model_dump_json().encode()
    write_whole(path, lzma.compress(plain, preset=9), "recorded sweep")


def read_sweep(path: Path) -> RecordedSweep:
    """Read a sweep.

    Raises
    ------
    UserError
        The file cannot be read, is damaged, or is not a recorded sweep.
    """
    try:
        compressed = path.read_bytes()
    except OSError as error:
        raise UserError(f"the recorded sweep {path} cannot be read: {fault_of(error)}") from error
    try:
        plain = _decompressed(compressed)
    except (lzma.LZMAError, EOFError) as error:
        raise UserError(
            f"{path} is damaged or is not a recorded sweep: expected a whole file compressed with "
            "xz; restore it, or record the sweep again with benchmarks.scripts.record_sweep"
        ) from error
    try:
        return RecordedSweep.model_validate_json(plain)
    except ValidationError as error:
        raise UserError(f"{path} is not a recorded sweep: {fault_of(error)}") from error


def _decompressed(compressed: bytes) -> bytes:
    """The content of an xz file.

    Raises
    ------
    EOFError
        The file ends early, or its content is larger than any sweep.
    """
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
    plain = decompressor.decompress(compressed, max_length=PLAIN_BYTES_MOST)
    if not decompressor.eof:
        raise EOFError
    return plain
