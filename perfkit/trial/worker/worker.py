"""The stages of a trial, in order; between passes the worker follows the parent's commands."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.errors import ConfigurationRefusedError, NotWrittenError, UserError
from perfkit.records.schema import Outcome
from perfkit.records.stages import StageName
from perfkit.trial.messages import (
    GUARD_OFF,
    GUARD_ZERO,
    Channel,
    Command,
    EventKind,
    TrialSpec,
    reports_out_of_memory,
)
from perfkit.trial.worker.check import Checker
from perfkit.trial.worker.commands import read_commands
from perfkit.trial.worker.notices import Notices
from perfkit.trial.worker.programs import Programs
from perfkit.trial.worker.stages import notice_stops, stage

if TYPE_CHECKING:
    from perfkit.guard.injection.ledger import Ledger
    from perfkit.models.base import Model
    from perfkit.models.prepared import Prepared, PyTree

REFUSAL_SIGNS = ("UNIMPLEMENTED", "INVALID_ARGUMENT", "Invalid option", "No such compile option")
"""What XLA's errors contain if it refuses a configuration."""

MAX_REASON_LENGTH = 500
"""Most characters of an error that a record takes as its reason."""

type FindModel = Callable[[str], Model]
"""Returns the model of a name; called in the import stage."""


class NotEnoughMemoryError(Exception):
    """The compiled program needs more memory than the trial is allowed."""


def registered_model(name: str) -> Model:
    """The model of this name in perfkit's registry."""
    from perfkit.models import get_model

    return get_model(name)


def main(arguments: list[str], find_model: FindModel = registered_model) -> int:
    """Run the trial that a specification file describes.

    Parameters
    ----------
    arguments
        Path of the specification, and number of the file descriptor for events.
    find_model
        Returns the model of a name.

    Returns
    -------
    int
        Exit code: 0 if the trial ran to its end, 1 if it failed.
    """
    spec = TrialSpec.read(Path(arguments[0]))
    channel = Channel(int(arguments[1]))
    os.sched_setaffinity(0, spec.affinity)
    notice_stops()
    commands = read_commands()
    folder = Path(arguments[0]).parent
    try:
        with _observed(spec, folder, commands):
            worker = Worker(spec, channel, folder, find_model)
            try:
                worker.run(commands)
            finally:
                worker.close()
    except NotWrittenError as error:
        # Not the configuration's fault: on another disk the trial would have run.
        _send_failure(channel, Outcome.CRASHED, str(error), not_written=True)
        return 1
    except (UserError, ConfigurationRefusedError) as error:
        _send_failure(channel, Outcome.REJECTED, str(error))
        return 1
    except (MemoryError, NotEnoughMemoryError) as error:
        _send_failure(channel, Outcome.OUT_OF_MEMORY, str(error) or "MemoryError")
        return 1
    except BaseException as error:
        traceback.print_exc()
        _send_failure(channel, _outcome_of(error), _one_line(error))
        return 1
    return 0


@contextmanager
def _observed(spec: TrialSpec, folder: Path, commands: Iterator[Command]) -> Iterator[None]:
    """Enter the contexts of the child's observers once the parent has started its side of them."""
    with ExitStack() as contexts:
        if spec.observers:
            from perfkit.observers.registry import make_observer

            # The parent sends `go` first of all.
            next(commands, None)
            for name in spec.observers:
                contexts.enter_context(make_observer(name).around(folder))
        yield


def _send_failure(channel: Channel, outcome: Outcome, reason: str, **data: bool) -> None:
    channel.send(EventKind.FAILED, outcome=outcome, reason=reason, **data)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:MAX_REASON_LENGTH]


def _outcome_of(error: BaseException) -> Outcome:
    text = str(error)
    if reports_out_of_memory(text):
        return Outcome.OUT_OF_MEMORY
    if any(sign in text for sign in REFUSAL_SIGNS):
        return Outcome.REJECTED
    return Outcome.CRASHED


class Worker:
    """The stages of one trial.

    Parameters
    ----------
    spec
        Specification of the trial.
    channel
        Channel that events are sent over.
    folder
        Folder for the trial's own files.
    find_model
        Returns the model of a name.
    """

    def __init__(
        self,
        spec: TrialSpec,
        channel: Channel,
        folder: Path,
        find_model: FindModel = registered_model,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._channel = channel
        self._find_model = find_model
        self._notices = Notices(channel)
        self._programs: Programs | None = None

    def run(self, commands: Iterator[Command]) -> None:
        """Run all stages, and between passes what the commands ask for.

        Parameters
        ----------
        commands
            Commands up to, and without, ``finish``.
        """
        from perfkit.models.workload import SHALLOW_DEPTH, Workload

        spec = self._spec
        workload = Workload.from_dict(spec.workload)
        logging.getLogger("perfkit").addHandler(self._notices)
        with stage(self._channel, StageName.IMPORT):
            import jax

            model = self._find_model(workload.model)
            model.load()
        cache_events = self._use_compile_cache()
        with stage(self._channel, StageName.PREPARE):
            prepared = model.prepare(workload, spec.overrides)
        labels = prepared.labels if spec.output_folder is not None else ()
        self._notices.start(prepared.notices, labels)
        ledger, jit = self._jit()
        with stage(self._channel, StageName.TRACE):
            lowered = jit(prepared.function).lower(*prepared.arguments)
        if spec.last_stage is StageName.TRACE:
            self._end_early(commands)
            return
        # Small programs, such as those that move arrays, have cache hits of their own.
        cache_events.clear()
        with stage(self._channel, StageName.COMPILE):
            compiled = lowered.compile()
        del lowered
        self._report_compilation(compiled, cache_events, prepared)
        if self._programs is not None:
            self._programs.publish()
            self._notices.send()
        if spec.last_stage is StageName.COMPILE:
            self._end_early(commands)
            return

        def one_pass() -> PyTree:
            return jax.block_until_ready(prepared.drive(compiled))

        checker = Checker(spec, self._folder, self._channel, self._notices, model, prepared)
        with stage(self._channel, StageName.FIRST):
            outputs = one_pass()
        self._channel.send(EventKind.READY)
        checked = False
        for command in commands:
            if command is Command.PASS:
                # Two sets of outputs at once would raise the peak memory.
                del outputs
                with stage(self._channel, StageName.STEADY):
                    outputs = one_pass()
            elif command is Command.TRACE:
                shallow = workload.depth == SHALLOW_DEPTH
                owner_of = model.stack_of if shallow else model.part_of
                self._trace(owner_of, compiled, one_pass)
            elif command is Command.CHECK:
                checker.check(outputs)
                checked = True
        if ledger is not None:
            self._channel.send(EventKind.GUARDED, mode=spec.guard, **ledger.as_dict())
        if not checked:
            checker.check(outputs)
        self._channel.send(EventKind.ENDED)

    def close(self) -> None:
        """Remove what only this process could use."""
        logging.getLogger("perfkit").removeHandler(self._notices)
        if self._programs is not None:
            self._programs.close()

    def _end_early(self, commands: Iterator[Command]) -> None:
        """End without a pass: wait for ``finish`` and ignore the commands before it."""
        self._channel.send(EventKind.READY)
        for _ in commands:
            continue
        self._channel.send(EventKind.ENDED)

    def _jit(self) -> tuple[Ledger | None, Any]:
        """``jax.jit``, or its guarded version with the ledger of what the guard lifts."""
        import jax

        if self._spec.guard == GUARD_OFF:
            return None, jax.jit
        from perfkit.guard.injection.guarded_jit import make_guarded_jit
        from perfkit.guard.injection.ledger import Ledger

        ledger = Ledger()
        zero_rounding = self._spec.guard == GUARD_ZERO
        return ledger, make_guarded_jit(jax.jit, ledger, zero_rounding)

    def _use_compile_cache(self) -> list[str]:
        """Switch JAX's persistent cache on if the trial has one; return a list of its events."""
        import jax

        events: list[str] = []
        if self._spec.compile_cache is None:
            jax.config.update("jax_enable_compilation_cache", False)
            return events
        self._programs = Programs(Path(self._spec.compile_cache), self._folder / "programs")
        jax.config.update("jax_compilation_cache_dir", str(self._programs.offer()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        # Only these events show a cache hit: the compile call looks the same either way.
        jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
        return events

    def _report_compilation(
        self, compiled: Any, cache_events: list[str], prepared: Prepared
    ) -> None:
        """Report the compiler's counts.

        Raises
        ------
        NotEnoughMemoryError
            The program is to be run and needs more memory than the limit.
        """
        memory = compiled.memory_analysis()
        cost = compiled.cost_analysis() or {}
        hits = sum(event.endswith("/cache_hits") for event in cache_events)
        cache = "off" if self._spec.compile_cache is None else ("hit" if hits else "miss")
        temporary_bytes = int(memory.temp_size_in_bytes)
        output_bytes = int(memory.output_size_in_bytes)
        self._channel.send(
            EventKind.COMPILED,
            cache=cache,
            temporary_bytes=temporary_bytes,
            argument_bytes=int(memory.argument_size_in_bytes),
            output_bytes=output_bytes,
            code_bytes=int(memory.generated_code_size_in_bytes),
            flops=float(cost.get("flops", 0.0)),
            bytes_accessed=float(cost.get("bytes accessed", 0.0)),
            parts=dict(prepared.parts),
        )
        if self._spec.last_stage is StageName.COMPILE:
            return
        limit = self._spec.memory_limit_bytes
        needed = _resident_bytes() + temporary_bytes + output_bytes
        if limit is not None and needed > limit:
            raise NotEnoughMemoryError(
                f"the compiled program needs {needed / 1e9:.1f} GB resident, "
                f"the limit is {limit / 1e9:.1f} GB"
            )

    def _trace(
        self,
        owner_of: Callable[[str], str | None],
        compiled: Any,
        one_pass: Callable[[], PyTree],
    ) -> None:
        """Run a pass under JAX's profiler; keep its files, or reduce them to seconds per owner."""
        import jax

        from perfkit.models.base import REST
        from perfkit.observers.trace.attribution import attribute, seconds_by_owner
        from perfkit.observers.trace.events import PASS_MARK, read_events, trace_of
        from perfkit.observers.trace.hlo import HloModule
        from perfkit.observers.trace.xla_trace import HLO_FILE, MARK_FILE, TRACE_FOLDER

        folder = self._folder / TRACE_FOLDER
        options = jax.profiler.ProfileOptions()
        # Python's own events are many, and none of them is used.
        options.python_tracer_level = 0
        with jax.profiler.trace(str(folder), profiler_options=options):
            begin_s = time.monotonic()
            with jax.profiler.TraceAnnotation(PASS_MARK):
                one_pass()
        if self._spec.observers:
            (self._folder / HLO_FILE).write_text(compiled.as_text())
            (self._folder / MARK_FILE).write_text(json.dumps({"begin_s": begin_s}))
            self._channel.send(EventKind.TRACED)
            return
        program = HloModule.parse(compiled.as_text())
        spans = attribute(trace_of(read_events(folder)), program, owner_of, REST)
        seconds = seconds_by_owner(spans)
        # The trace of a real model takes tens of megabytes; only this table of it is kept.
        shutil.rmtree(folder)
        self._channel.send(EventKind.TRACED, seconds=seconds)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
