"""Run a command of the user as a guest in its Python processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from perfkit.foreign.adapter import ForeignOptions
from perfkit.foreign.hook import foreign_environment
from perfkit.foreign.plan import PLAN_VARIABLE
from perfkit.foreign.process_watch import JaxProcess, ProcessWatch
from perfkit.foreign.report import ForeignReport, read_report
from perfkit.foreign.supervise import Ended, run_command, signals_for_main_thread
from perfkit.observers.process_tree import Timeline, TreeSample, TreeSampler, descendants
from perfkit.tuning.apply import foreign_plan, preset_environment
from perfkit.tuning.foreign_runs.programs import offered_programs
from perfkit.tuning.preset import Preset


@dataclass(frozen=True)
class ForeignRequest:
    """A command to run, and under what.

    Attributes
    ----------
    command
        The program and its arguments.
    preset
        The preset to apply, or None.
    guard
        Mode of the guard, see :mod:`perfkit.foreign.plan`; None for no guard.
    options
        Options of the run that are no knobs.
    """

    command: tuple[str, ...]
    preset: Preset | None = None
    guard: str | None = None
    options: ForeignOptions = field(default_factory=ForeignOptions)


@dataclass(frozen=True)
class ForeignRun:
    """A command that has ended.

    Attributes
    ----------
    request
        The request.
    created
        Start in UTC, ISO 8601.
    allowed_cpus
        Number of CPUs that the command was bound to.
    ended
        How it ended, and what it used.
    timeline
        Samples of the process tree.
    report
        What became of the preset and of the guard in its processes.
    sentences
        What could not be prepared.
    """

    request: ForeignRequest
    created: str
    allowed_cpus: int
    ended: Ended
    timeline: Timeline
    report: ForeignReport
    sentences: tuple[str, ...]

    @property
    def peak_rss_bytes(self) -> int:
        """Largest resident memory of all processes together, as far as it was sampled."""
        return max(self.timeline.peak_rss_bytes, self.ended.peak_process_bytes)


def run_foreign(request: ForeignRequest, inherited: Mapping[str, str] = os.environ) -> ForeignRun:
    """Run a command under a preset, the guard, or both, and wait for it to end.

    Parameters
    ----------
    request
        The command, and under what to run it.
    inherited
        Environment of the command, to which the preset and the guard are added.

    Raises
    ------
    UserError
        This machine cannot run the preset, or the command cannot be started.
    """
    preset, created = request.preset, datetime.now(UTC).isoformat(timespec="milliseconds")
    before = os.sched_getaffinity(0)
    bound = before if preset is None else preset.configuration.ensure_possible()
    watching = _Watching(before)
    with tempfile.TemporaryDirectory(prefix="perfkit-exec-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve()
        kept, sentences = (None, []) if preset is None else offered_programs(preset, root)
        with signals_for_main_thread():
            # Models import libraries that start threads.
            plan = foreign_plan(
                preset,
                root,
                guard=request.guard,
                options=request.options,
                programs=None if kept is None else kept.own,
            )
        environment = dict(inherited)
        if preset is not None:
            environment = preset_environment(preset.configuration, environment)
        try:
            # The command inherits the affinity of this process.
            os.sched_setaffinity(0, bound)
            ended = run_command(
                request.command, foreign_environment(environment, plan), watching.of
            )
        finally:
            os.sched_setaffinity(0, before)
            if kept is not None:
                kept.publish()
        report = read_report(root, watching.jax_processes)
    return ForeignRun(
        request, created, len(bound), ended, watching.timeline, report, tuple(sentences)
    )


@dataclass
class _Watching:
    """Watches a command from outside: its memory, and its processes that run JAX.

    Attributes
    ----------
    affinity
        CPUs of this process, which the command may not be allowed to use.
    timeline
        Samples of the process tree, once the command has ended.
    jax_processes
        Processes in which JAX was found.
    """

    affinity: set[int]
    timeline: Timeline = field(default_factory=Timeline)
    jax_processes: Sequence[JaxProcess] = ()

    @contextlib.contextmanager
    def of(self, pid: int) -> Iterator[None]:
        """Watch a process and its descendants while the block runs."""
        os.sched_setaffinity(0, self.affinity)
        sampler = TreeSampler(pid, _keep_nothing)
        sampler.start()
        with ProcessWatch(pid, PLAN_VARIABLE, descendants) as watch:
            try:
                yield
            finally:
                self.timeline = sampler.stop()
        self.jax_processes = watch.jax_processes()


def _keep_nothing(sample: TreeSample) -> None:
    """The sampler keeps the samples itself."""
