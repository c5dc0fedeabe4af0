"""The stages of one trial in its worker, in order; between passes it follows commands."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.records.stages import LAST_STAGE, StageName
from perfkit.trial.messages import (
    GUARD_OFF,
    GUARD_ZERO,
    Channel,
    Command,
    EventKind,
    TrialSpec,
)
from perfkit.trial.worker.cache import SHARE_OF_LIMIT, Keys, Program, WorkerCache, resident_bytes
from perfkit.trial.worker.check import Checker
from perfkit.trial.worker.compiler import Compiler
from perfkit.trial.worker.failures import NotEnoughMemoryError
from perfkit.trial.worker.free_memory import give_back_free_memory
from perfkit.trial.worker.notices import Notices
from perfkit.trial.worker.stages import stage

if TYPE_CHECKING:
    from perfkit.guard.injection.ledger import Ledger
    from perfkit.models.base import Model
    from perfkit.models.prepared import Prepared, PyTree


class OpenTrial:
    """A trial in a worker, from its first stage to its end.

    Parameters
    ----------
    spec
        Specification of the trial.
    channel
        Channel that the trial's events are sent over.
    folder
        Folder for the trial's own files.
    cache, compiler
        What the trials of this worker share.
    """

    def __init__(
        self,
        spec: TrialSpec,
        channel: Channel,
        folder: Path,
        cache: WorkerCache,
        compiler: Compiler,
    ) -> None:
        self._spec = spec
        self._channel = channel
        self._folder = folder
        self._cache = cache
        self._compiler = compiler
        self._notices = Notices(channel)
        self._held = ExitStack()
        self._ready: _Ready | None = None
        self._outputs: PyTree = None
        self._checked = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """Collect the warnings that perfkit logs in this block as notices of this trial."""
        logger = logging.getLogger("perfkit")
        logger.addHandler(self._notices)
        try:
            yield
        finally:
            logger.removeHandler(self._notices)

    def open(self) -> None:
        """Run the stages up to the first pass, or up to the last one that is requested.

        Raises
        ------
        NotEnoughMemoryError
            The program is to be run and needs more memory than the limit.
        """
        from perfkit.models.workload import Workload

        spec, cache, keys = self._spec, self._cache, Keys.of(self._spec)
        workload = Workload.from_dict(spec.workload)
        if spec.memory_limit_bytes is not None:
            cache.make_room(SHARE_OF_LIMIT * spec.memory_limit_bytes)
        cache.limit_mappings()
        with stage(self._channel, StageName.IMPORT):
            import jax  # noqa: F401

            model = cache.model(workload.model)
        shared = None if spec.compile_cache is None else Path(spec.compile_cache)
        self._compiler.start(shared, self._folder / "programs")
        with stage(self._channel, StageName.PREPARE):
            prepared = self._held.enter_context(
                cache.predictions.using(
                    keys.prediction, lambda: model.prepare(workload, spec.overrides)
                )
            )
        labels = prepared.labels if spec.output_folder is not None else ()
        self._notices.start(prepared.notices, labels)
        ledger, jit = self._jit()
        was_held = keys.program in cache.programs
        program = self._compiled(keys, jit, prepared)
        if program is None:
            self._channel.send(EventKind.READY)
            return
        give_back_free_memory()
        self._report_compilation(program, prepared, was_held=was_held)
        if spec.compile_cache is not None:
            self._compiler.publish()
            self._notices.send()
        if spec.last_stage is StageName.COMPILE:
            self._channel.send(EventKind.READY)
            return
        checker = Checker(spec, self._folder, self._channel, self._notices, model, prepared)
        self._ready = _Ready(model, prepared, program.compiled, ledger, checker)
        with stage(self._channel, StageName.FIRST):
            self._outputs = self._ready.one_pass()
        self._channel.send(EventKind.READY)

    def follow(self, command: Command) -> None:
        """Follow a command; one that asks for a pass is ignored by a trial that ended early."""
        ready = self._ready
        if command is Command.FINISH:
            self._finish()
        elif ready is None:
            return
        elif command is Command.PASS:
            # Two sets of outputs at once would raise the peak memory.
            self._outputs = None
            with stage(self._channel, StageName.STEADY):
                self._outputs = ready.one_pass()
        elif command is Command.TRACE:
            self._trace(ready)
        elif command is Command.CHECK:
            ready.checker.check(self._outputs)
            self._checked = True

    def close(self) -> None:
        """Let go of what the trial used."""
        self._outputs = None
        self._ready = None
        self._held.close()

    def _finish(self) -> None:
        ready = self._ready
        if ready is not None:
            if ready.ledger is not None:
                counts = ready.ledger.as_dict()
                self._channel.send(EventKind.GUARDED, mode=self._spec.guard, **counts)
            if not self._checked:
                ready.checker.check(self._outputs)
        self._channel.send(EventKind.ENDED)

    def _compiled(self, keys: Keys, jit: Any, prepared: Prepared) -> Program | None:
        """The compiled program; None if the trial ends before its compilation.

        The lowering is let go of here: only a worker of several trials keeps it.
        """
        spec, cache = self._spec, self._cache

        def lower() -> Any:
            return jit(prepared.function).lower(*prepared.arguments)

        with ExitStack() as tracing:
            lowered: Any = None
            with stage(self._channel, StageName.TRACE):
                if keys.program not in cache.programs:
                    lowered = tracing.enter_context(cache.lowerings.using(keys.lowering, lower))
            if spec.last_stage is StageName.TRACE:
                return None
            with stage(self._channel, StageName.COMPILE):
                return self._held.enter_context(
                    cache.programs.using(
                        keys.program,
                        lambda: self._compiler.compile(lowered, spec.compiler_options),
                    )
                )

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

    def _report_compilation(self, program: Program, prepared: Prepared, *, was_held: bool) -> None:
        """Report the compiler's counts.

        Raises
        ------
        NotEnoughMemoryError
            The program is to be run and needs more memory than the limit.
        """
        memory = program.compiled.memory_analysis()
        cost = program.compiled.cost_analysis() or {}
        temporary_bytes = int(memory.temp_size_in_bytes)
        output_bytes = int(memory.output_size_in_bytes)
        self._channel.send(
            EventKind.COMPILED,
            cache="hit" if was_held else program.cache,
            temporary_bytes=temporary_bytes,
            argument_bytes=int(memory.argument_size_in_bytes),
            output_bytes=output_bytes,
            code_bytes=int(memory.generated_code_size_in_bytes),
            flops=float(cost.get("flops", 0.0)),
            bytes_accessed=float(cost.get("bytes accessed", 0.0)),
            parts=dict(prepared.parts),
        )
        limit = self._spec.memory_limit_bytes
        if self._spec.last_stage is not LAST_STAGE or limit is None:
            return
        own_bytes = temporary_bytes + output_bytes
        self._cache.make_room(limit - own_bytes)
        needed = resident_bytes() + own_bytes
        if needed > limit:
            raise NotEnoughMemoryError(
                f"the compiled program needs {needed / 1e9:.1f} GB resident, "
                f"the limit is {limit / 1e9:.1f} GB"
            )

    def _trace(self, ready: _Ready) -> None:
        """Run a pass under JAX's profiler; keep its files, or reduce them to seconds per owner."""
        import jax

        from perfkit.models.base import REST
        from perfkit.models.workload import Workload
        from perfkit.observers.trace.attribution import (
            attribute,
            full_seconds_by_part,
            seconds_by_owner,
        )
        from perfkit.observers.trace.events import PASS_MARK, read_events, trace_of
        from perfkit.observers.trace.hlo import HloModule
        from perfkit.observers.trace.traced_pass import (
            HLO_FILE,
            MARK_FILE,
            PRODUCTS_FILE,
            TRACE_FOLDER,
        )
        from perfkit.records.depths import SHALLOW_DEPTH

        folder = self._folder / TRACE_FOLDER
        options = jax.profiler.ProfileOptions()
        # Python's own events are many, and none of them is used.
        options.python_tracer_level = 0
        with jax.profiler.trace(str(folder), profiler_options=options):
            begin_s = time.monotonic()
            with jax.profiler.TraceAnnotation(PASS_MARK):
                ready.one_pass()
        if self._spec.observers:
            (self._folder / HLO_FILE).write_text(ready.compiled.as_text())
            ready.write_products(self._folder / PRODUCTS_FILE)
            (self._folder / MARK_FILE).write_text(json.dumps({"begin_s": begin_s}))
            self._channel.send(EventKind.TRACED)
            return
        program = HloModule.parse(ready.compiled.as_text())
        trace = trace_of(read_events(folder))
        spans = parts = attribute(trace, program, ready.model.part_of, REST)
        full_seconds = None
        if self._spec.workload.get("depth") == SHALLOW_DEPTH:
            spans = attribute(trace, program, ready.model.stack_of, REST)
            blocks = ready.model.stacks(Workload.from_dict(self._spec.workload))
            full_seconds = full_seconds_by_part(parts, spans, blocks)
        # The trace of a real model takes tens of megabytes; only these tables of it are kept.
        shutil.rmtree(folder)
        self._channel.send(
            EventKind.TRACED, seconds=seconds_by_owner(spans), full_seconds=full_seconds
        )


class _Ready:
    """What the passes of a trial run with.

    Parameters
    ----------
    model, prepared, compiled
        The model, the prepared prediction and its compiled program.
    ledger
        What the domain guard lifts, None without a guard.
    checker
        Checks the outputs of a pass.
    """

    def __init__(
        self,
        model: Model,
        prepared: Prepared,
        compiled: Any,
        ledger: Ledger | None,
        checker: Checker,
    ) -> None:
        self.model = model
        self.compiled = compiled
        self.ledger = ledger
        self.checker = checker
        self._prepared = prepared
        self._calls = 0

    def one_pass(self) -> PyTree:
        """Run one whole prediction and wait for its outputs."""
        import jax

        self._calls = 0
        return jax.block_until_ready(self._prepared.drive(self._call))

    def write_products(self, file: Path) -> None:
        """Write the matrix products of the last pass to a file."""
        from perfkit.observers.products.counting import write_products

        prepared = self._prepared
        write_products(file, prepared.function, prepared.arguments, self._calls)

    def _call(self, *arguments: PyTree) -> PyTree:
        """One call of the compiled program."""
        self._calls += 1
        return self.compiled(*arguments)
