"""Terminal output: the workload, progress while trials run, tables at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from perfkit.api.progress import package_lines, record_line, workload_lines
from perfkit.cli.heartbeat import SILENCE_S, Heartbeat
from perfkit.printable import printable
from perfkit.records.findings import GuardRecord, SiteRecord
from perfkit.records.schema import Outcome, Record
from perfkit.units import count_text, seconds_text

if TYPE_CHECKING:
    from perfkit.models.base import Model
    from perfkit.models.workload import Workload
    from perfkit.tuning.choice.extrapolate import Extrapolation
    from perfkit.tuning.choice.recommend import Recommendation
    from perfkit.tuning.versions.jaxlibs import JaxlibComparison

REFRESHES_PER_S = 2
"""More refreshes would take CPU time from the trials."""

WIDTH_WITHOUT_TERMINAL = 160
"""Columns of the tables in a log file."""


ANOTHER_PROGRAM = (
    "No value was changed, but a guarded program is compiled differently and rounds differently: "
    "after hundreds of steps its structure differs from the unguarded one by chaos, not by an "
    "error (`perfkit compare A B --structures` compares the distributions over seeds)"
)
"""What a reader must know who compares a guarded prediction with an unguarded one."""


class _VisibleConsole(RichConsole):
    """Escapes control characters instead of sending them to the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render a renderable; Rich's own control codes are left unchanged."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=printable(segment.text, keep="\n"))


def cell(text: str) -> Text:
    """A table cell with plain text: markup is not interpreted, control characters are escaped."""
    return Text(printable(text))


class Console:
    """Prints to the terminal, or plain lines where the output is no terminal.

    Names, reasons and notices come from files. Control characters in them are escaped, so that a
    line stays one line. It is a :class:`perfkit.api.progress.CallProgress`.

    Parameters
    ----------
    to_stderr
        Whether to print on standard error, because standard output is for JSON.
    """

    def __init__(self, *, to_stderr: bool = False) -> None:
        self.rich: RichConsole = _VisibleConsole(highlight=False, stderr=to_stderr)
        if not self.rich.is_terminal:
            # Without a terminal rich assumes 80 columns, which breaks the tables' lines.
            self.rich.width = WIDTH_WITHOUT_TERMINAL
        self._conditions: list[str] | None = None

    def line(self, text: str) -> None:
        """Print one line."""
        self.rich.print(printable(text), markup=False, soft_wrap=True)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
        """Print a table of plain texts under a title, if any."""
        drawn = Table(title=cell(title) if title else None, title_justify="left")
        for header in headers:
            drawn.add_column(cell(header))
        for row in rows:
            drawn.add_row(*map(cell, row))
        self.rich.print(drawn)

    def announce(
        self, model: Model, workloads: Sequence[Workload], warnings: Sequence[str] = ()
    ) -> None:
        """Print what is about to be measured; see :class:`perfkit.api.progress.CallProgress`."""
        for workload in workloads:
            self.workload(workload, model)
        for sentence in warnings:
            self._warn(sentence)

    def study(self, *, budget_s: float | None = None, trials: int | None = None) -> StudyProgress:
        """The progress bar of a study, as a context manager."""
        return StudyProgress(self, budget_s=budget_s, trials=trials)

    @contextmanager
    def trial(self, label: str, silence_s: float = SILENCE_S) -> Iterator[Callable[[str], None]]:
        """Show a spinner with the configuration and the stage of a single trial.

        Parameters
        ----------
        label
            Label of the configuration.
        silence_s
            Longest time without a line in a log file, in seconds.
        """
        begin_s = time.monotonic()
        entered = ""

        def status() -> str:
            return _status_line(seconds_text(time.monotonic() - begin_s), label, entered)

        heartbeat = Heartbeat(
            status, self.line, enabled=not self.rich.is_terminal, silence_s=silence_s
        )
        with _progress(self.rich) as progress, heartbeat:
            task = progress.add_task(label, total=None, stage="")

            def show(stage: str) -> None:
                nonlocal entered
                entered = stage
                progress.update(task, stage=stage)

            yield show

    def workload(self, workload: Workload, model: Model) -> None:
        """Print a workload with its notices, and once the packages and conditions here."""
        from perfkit.trial.conditions.inherited import sentences_before_measuring

        for line in workload_lines(workload, model):
            self.line(line)
        if self._conditions is None:
            for line in package_lines(model, workload):
                self.line(line)
            self._conditions = []
            for sentence in sentences_before_measuring():
                self._warn(sentence)

    def _warn(self, sentence: str) -> None:
        """Print a warning; the record's note of the same text is then not printed again."""
        self.line(f"warning: {sentence}")
        self._conditions = [*(self._conditions or ()), sentence]

    def record(self, record: Record, folder: Path) -> None:
        """Print the stages of one trial, its outcome and its files."""
        from perfkit.api.results import STAGE_HEADERS, outcome_sentence, stage_rows

        self.table(STAGE_HEADERS, stage_rows(record))
        self.line(outcome_sentence(record))
        if record.finite is not None and record.outcome is Outcome.OK:
            self.line(f"all {len(record.finite.leaves)} outputs are finite")
        if record.guard is not None:
            self.line(f"domain guard: {guard_sentence(record.guard)}")
            for site in record.guard.sites:
                self.line(f"  {site_sentence(site)}")
        compilation = record.compilation
        if compilation is not None and compilation.cache != "off":
            self.line(f"compilation cache: {compilation.cache}")
        for name, observation in record.observations.items():
            if observation.missing:
                self.line(f"{name}: {observation.missing}")
        for warning in record.warnings:
            self.line(f"warning: {warning}")
        for name, path in record.artifacts.items():
            self.line(f"  {name}: {folder / path}")
        # A reader looks at the last lines first: they say how far the files can be relied on.
        for notice in record.notices:
            if notice not in (self._conditions or ()):
                self.line(f"note: {notice}")

    def recommendation(
        self, recommendation: Recommendation, extrapolations: Sequence[Extrapolation]
    ) -> None:
        """Print the table of configurations, the recommendation and the production times."""
        from perfkit.api.studies.study_results import production_sentence
        from perfkit.report.tables import HEADERS, configuration_table, front_table

        self.table(HEADERS, (row.cells for row in configuration_table(recommendation)))
        self.line(recommendation.goal.sentence)
        self.line(f"{count_text(recommendation.looked_at, 'configuration')} looked at")
        if recommendation.front:
            self.line("front of time and memory:")
            self.table(HEADERS, (row.cells for row in front_table(recommendation)))
        self.line(recommendation.sentence)
        for condition in recommendation.conditions:
            self.line(f"warning: {condition}")
        for extrapolation in extrapolations:
            self.line(production_sentence(extrapolation))

    def jaxlibs(self, comparison: JaxlibComparison) -> None:
        """Print versions of jaxlib side by side, and which is right and fastest."""
        from perfkit.report.study.jaxlib_tables import HEADING, jaxlib_table

        table = jaxlib_table(comparison)
        self.table(table.headers, table.rows, f"{HEADING}: {table.heading}")
        self.line(comparison.sentence)


class StudyProgress:
    """A progress bar: the running trial, the number of finished trials, and the expected end.

    Parameters
    ----------
    console
        Console to draw on.
    budget_s
        Wall seconds that the study may take; the bar then shows time.
    trials
        Number of trials that the study takes, instead of a budget; the bar then shows trials.
    """

    def __init__(
        self, console: Console, *, budget_s: float | None = None, trials: int | None = None
    ) -> None:
        self._console = console
        self._budget_s = budget_s
        self._trials = trials
        self._done = 0
        self._begin_s = time.monotonic()
        self._started_s = self._begin_s
        self._durations_s: list[float] = []
        self._bar = _progress(console.rich)
        self._task = self._bar.add_task("starting", total=budget_s or trials, stage="")
        self._activity = "starting"
        self._stage = ""
        self._heartbeat = Heartbeat(
            self._status, console.line, enabled=not console.rich.is_terminal
        )

    def __enter__(self) -> StudyProgress:
        self._bar.start()
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)
        self._bar.stop()

    def trial_started(self, role: str, label: str) -> None:
        """Show the trial that has started."""
        self._started_s = time.monotonic()
        self._draw(f"{role}: {label}")

    def trial_finished(self, record: Record) -> None:
        """Print the finished trial in one line."""
        self._done += 1
        self._durations_s.append(time.monotonic() - self._started_s)
        self._console.line(f"  {record_line(record)}")
        self._heartbeat.heard()
        self._draw("next trial")

    def say(self, sentence: str) -> None:
        """Print a sentence of the study."""
        self._console.line(f"  {sentence}")

    def stage(self, stage: str) -> None:
        """Show the stage that the running trial has entered."""
        self._stage = stage
        self._bar.update(self._task, completed=self._completed(), stage=stage)

    def _status(self) -> str:
        """The running trial and its stage in one line, for a log file."""
        passed = seconds_text(time.monotonic() - self._begin_s)
        whole = "" if self._budget_s is None else f" of {seconds_text(self._budget_s)}"
        return _status_line(f"{passed}{whole}", self._activity, self._stage)

    def _completed(self) -> float:
        return self._done if self._trials else time.monotonic() - self._begin_s

    def _draw(self, description: str) -> None:
        done = f"{self._done} done"
        if self._trials:
            done = f"{self._done} of {self._trials} done"
        left_s = self._left_s()
        end = ""
        if left_s is not None:
            end = f", ends {datetime.now() + timedelta(seconds=left_s):%H:%M}"
        self._activity = f"{description} ({done}{end})"
        self._bar.update(
            self._task,
            completed=self._completed(),
            description=f"{description[:70]} ({done}{end})",
        )

    def _left_s(self) -> float | None:
        if self._budget_s is not None:
            return max(0.0, self._budget_s - (time.monotonic() - self._begin_s))
        if self._trials and self._durations_s:
            return statistics.mean(self._durations_s) * max(0, self._trials - self._done)
        return None


def guard_sentence(guard: GuardRecord) -> str:
    """The counts of the domain guard in one line."""
    unguarded = guard.unguarded_functions
    if guard.left_alone and not guard.guarded_equations and not unguarded:
        return "nothing can need lifting: program left alone"
    rest = f"; not guarded: {', '.join(unguarded)}" if unguarded else ""
    if not guard.lifted and not guard.zeroed and guard.guarded_equations:
        rest += f". {ANOTHER_PROGRAM}"
    return (
        f"{guard.lifted} operands lifted and {guard.zeroed} differences zeroed, "
        f"{guard.guarded_equations} operations guarded{rest}"
    )


def site_sentence(site: SiteRecord) -> str:
    """The counts of the domain guard at one source line, in one line."""
    return (
        f"{site.primitive} at {site.file}:{site.line} ({site.function}): "
        f"{site.lifted} lifted, {site.zeroed} zeroed"
    )


def _status_line(passed: str, activity: str, stage: str) -> str:
    """What runs, for how long, and in which stage, as a line for a log file."""
    return f"  after {passed}: {activity}{f', stage {stage}' if stage else ''}"


def _progress(console: RichConsole) -> Progress:
    # Without a terminal rich would end each bar with an empty line.
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description} {task.fields[stage]}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        refresh_per_second=REFRESHES_PER_S,
        disable=not console.is_terminal,
    )
