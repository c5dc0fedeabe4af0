"""Progress of a call: shown in a terminal, printed line by line, or not shown at all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from perfkit.knobs.configuration import STOCK
from perfkit.models.base import Model
from perfkit.models.workload import Workload
from perfkit.packages import provider_of
from perfkit.records.machine import package_versions
from perfkit.records.schema import Record
from perfkit.trial.conditions.inherited import sentences_before_measuring
from perfkit.tuning.studies.progress import Progress
from perfkit.units import bytes_text, seconds_text

INTERRUPTED = "interrupted: all finished measurements are kept, and the same call resumes"


class CallProgress(Protocol):
    """Follows one call of the API, from its announcement to its last trial."""

    def announce(
        self, model: Model, workloads: Sequence[Workload], warnings: Sequence[str] = ()
    ) -> None:
        """Show what is about to be measured, before the first trial starts.

        Parameters
        ----------
        model, workloads
            What is measured.
        warnings
            Sentences to show in addition to the conditions on this machine.
        """
        ...

    def study(
        self, *, budget_s: float | None = None, trials: int | None = None
    ) -> AbstractContextManager[Progress]:
        """Follow a study while the block runs.

        Parameters
        ----------
        budget_s
            Wall time that the study may take, in seconds; None where trials are counted.
        trials
            Number of trials that the study takes; None where time is counted.
        """
        ...

    def trial(self, label: str) -> AbstractContextManager[Callable[[str], None]]:
        """Follow a single trial while the block runs.

        Parameters
        ----------
        label
            Label of the trial's configuration.

        Returns
        -------
        AbstractContextManager
            Gives the function to call with the name of each stage that the trial enters.
        """
        ...


class LineProgress:
    """Shows progress as plain lines; for a call and for each of its studies.

    Parameters
    ----------
    show
        Called with each line, e.g. ``print``.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show

    def announce(
        self, model: Model, workloads: Sequence[Workload], warnings: Sequence[str] = ()
    ) -> None:
        """Show every workload, the packages, then what affects measurements on this machine."""
        for workload in workloads:
            for line in workload_lines(workload, model):
                self._show(line)
        for line in package_lines(model, workloads[0]):
            self._show(line)
        for sentence in (*sentences_before_measuring(), *warnings):
            self._show(f"warning: {sentence}")

    @contextmanager
    def study(
        self, *, budget_s: float | None = None, trials: int | None = None
    ) -> Iterator[LineProgress]:
        """Show one line per finished trial."""
        yield self

    @contextmanager
    def trial(self, label: str) -> Iterator[Callable[[str], None]]:
        """Show the label once; the stages of a single trial are not shown."""
        self._show(label)
        yield self.stage

    def trial_started(self, role: str, label: str) -> None:
        """Show nothing: the finished trial gets a line."""

    def trial_finished(self, record: Record) -> None:
        """Show the trial's outcome, time and memory in one line."""
        self._show(f"  {record_line(record)}")

    def say(self, sentence: str) -> None:
        """Show a decision or a problem of the study."""
        self._show(f"  {sentence}")

    def stage(self, stage: str) -> None:
        """Show nothing: stages change too often for lines."""


class SilentProgress(LineProgress):
    """Shows nothing."""

    def __init__(self) -> None:
        super().__init__(lambda line: None)

    def announce(
        self, model: Model, workloads: Sequence[Workload], warnings: Sequence[str] = ()
    ) -> None:
        """Show nothing, and do not look at the machine either."""


type ProgressLike = CallProgress | Callable[[str], object] | None
"""What callers pass: a :class:`CallProgress`, a function of one line such as ``print``, or None."""


def as_progress(given: ProgressLike) -> CallProgress:
    """The progress to report to: silent for None, line by line for a function."""
    if given is None:
        return SilentProgress()
    if callable(given):
        return LineProgress(given)
    return given


def run_interruptibly(run: Callable[[], None], progress: Progress) -> bool:
    """Run a study; Ctrl-C ends it, and what was measured is kept.

    Returns
    -------
    bool
        Whether the user interrupted the study.
    """
    try:
        run()
    except KeyboardInterrupt:
        progress.say(INTERRUPTED)
        return True
    return False


def workload_lines(workload: Workload, model: Model) -> list[str]:
    """The workload in one line, and one line per notice."""
    fidelity = ", ".join(f"{name} {value}" for name, value in workload.fidelity.items())
    return [
        f"{model.name}: {workload.name}, {workload.size} {model.size_unit} ({fidelity})",
        *(f"  note: {notice}" for notice in workload.notices),
    ]


def package_lines(model: Model, workload: Workload) -> list[str]:
    """The packages that run the model, and a note if its memory is not predicted for them."""
    package = provider_of(model.package(workload))
    if package is None:
        return []
    jaxlib = package_versions().get("jaxlib")
    lines = [f"  package: {package.text}" + ("" if jaxlib is None else f", jaxlib {jaxlib}")]
    if model.memory_estimate_bytes(workload, STOCK) is None:
        lines.append(
            f"  note: memory is not predicted for {package.text}: trials show what it needs, and "
            "nothing is refused because of it"
        )
    return lines


def record_line(record: Record) -> str:
    """A finished trial in one line: outcome, median time, peak memory, agreement, warnings."""
    steady_s = [stage.wall_s for stage in record.steady]
    words = [f"{record.role} {record.configuration.label}: {record.outcome}"]
    if steady_s:
        words.append(f"{seconds_text(statistics.median(steady_s))} per prediction")
        words.append(bytes_text(record.peak_rss_bytes))
    if record.agreement is not None:
        words.append(f"agreement {record.agreement.reached}")
    if record.reason:
        words.append(record.reason)
    return ", ".join([*words, *(f"warning: {warning}" for warning in record.warnings)])
