"""The child of a trial: runs the stages, reports each, and does what the parent says."""

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
from perfkit.seal import DamagedError
from perfkit.trial.answers import load_answers, save_answers
from perfkit.trial.messages import (
    CHECK,
    COMPILE_STAGE,
    GUARD_OFF,
    GUARD_ZERO,
    PASS,
    TRACE,
    TRACE_STAGE,
    Channel,
    TrialSpec,
    says_out_of_memory,
)
from perfkit.trial.worker.parents_words import parents_words
from perfkit.trial.worker.programs import Programs
from perfkit.trial.worker.stages import notice_stops, peak_rss_bytes, stage

if TYPE_CHECKING:
    from perfkit.guard.injection.ledger import Ledger
    from perfkit.models.base import Model, Prepared, PyTree

REFUSAL_SIGNS = ("UNIMPLEMENTED", "INVALID_ARGUMENT", "Invalid option", "No such compile option")


class NotEnoughMemoryError(Exception):
    """The compiled program needs more memory than the trial is allowed."""


def main(arguments: list[str]) -> int:
    """Run the trial that the specification file describes.

    Parameters
    ----------
    arguments
        Path of the specification, and the number of the file descriptor for events.
    """
    spec = TrialSpec.read(Path(arguments[0]))
    channel = Channel(int(arguments[1]))
    os.sched_setaffinity(0, spec.affinity)
    notice_stops()
    words = parents_words()
    folder = Path(arguments[0]).parent
    try:
        with _observed(spec, folder, words):
            worker = _Worker(spec, channel, folder)
            try:
                worker.run(words)
            finally:
                worker.close()
    except NotWrittenError as error:
        # No fault of the configuration: on another disk it would have run.
        channel.send("failed", outcome="crashed", reason=str(error), not_written=True)
        return 1
    except (UserError, ConfigurationRefusedError) as error:
        channel.send("failed", outcome="rejected", reason=str(error))
        return 1
    except (MemoryError, NotEnoughMemoryError) as error:
        channel.send("failed", outcome="out_of_memory", reason=str(error) or "MemoryError")
        return 1
    except BaseException as error:
        traceback.print_exc()
        channel.send("failed", outcome=_outcome_of(error), reason=_one_line(error))
        return 1
    return 0


@contextmanager
def _observed(spec: TrialSpec, folder: Path, words: Iterator[str]) -> Iterator[None]:
    """What the child's observers put around it, once the parent has seen to its own side."""
    with ExitStack() as around:
        if spec.observers:
            from perfkit.observers.registry import make_observer

            next(words, None)
            for name in spec.observers:
                around.enter_context(make_observer(name).around(folder))
        yield


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]


def _outcome_of(error: BaseException) -> str:
    text = str(error)
    if says_out_of_memory(text):
        return "out_of_memory"
    if any(sign in text for sign in REFUSAL_SIGNS):
        return "rejected"
    return "crashed"


class _Worker:
    """The stages of one trial, in order."""

    def __init__(self, spec: TrialSpec, channel: Channel, folder: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._channel = channel
        self._notices: tuple[str, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._said = _Said()
        self._programs: Programs | None = None

    def run(self, words: Iterator[str]) -> None:
        """All stages, and between them what the parent's words ask for."""
        from perfkit.models import get_model
        from perfkit.models.base import Workload

        workload = Workload.from_dict(self._spec.workload)
        logging.getLogger("perfkit").addHandler(self._said)
        with stage(self._channel, "import"):
            import jax

            model = get_model(workload.model)
            model.load()
        cache_events = self._use_compile_cache()
        with stage(self._channel, "prepare"):
            prepared = model.prepare(workload, self._spec.overrides)
        self._notices = tuple(prepared.notices)
        # What a prediction is labelled with comes last, where a reader of the terminal ends.
        self._labels = prepared.labels if self._spec.output_folder is not None else ()
        self._send_notices()
        ledger, jit = self._jit()
        with stage(self._channel, "trace"):
            lowered = jit(prepared.function).lower(*prepared.arguments)
        if self._spec.last_stage == TRACE_STAGE:
            self._stop_short(words)
            return
        # Small programs, such as those that move arrays, have hits of their own.
        cache_events.clear()
        with stage(self._channel, "compile"):
            compiled = lowered.compile()
        del lowered
        self._report_compilation(compiled, cache_events, prepared)
        if self._programs is not None:
            self._programs.publish()
            self._send_notices()
        if self._spec.last_stage == COMPILE_STAGE:
            self._stop_short(words)
            return

        def one_pass() -> PyTree:
            return jax.block_until_ready(prepared.drive(compiled))

        with stage(self._channel, "first"):
            outputs = one_pass()
        self._channel.send("ready")
        checked = False
        for word in words:
            if word == PASS:
                del outputs
                with stage(self._channel, "steady"):
                    outputs = one_pass()
            elif word == TRACE:
                self._trace(model, compiled, one_pass)
            elif word == CHECK:
                self._check_once(model, prepared, outputs)
                checked = True
        if ledger is not None:
            self._channel.send("guarded", mode=self._spec.guard, **ledger.as_dict())
        if not checked:
            self._check_once(model, prepared, outputs)
        self._channel.send("ended")

    def close(self) -> None:
        """Remove what only this process could use."""
        if self._programs is not None:
            self._programs.close()

    def _send_notices(self) -> None:
        """What a reader of the record must know, with what perfkit's own modules warned of."""
        notices = [*self._notices, *self._said.messages, *self._labels]
        self._channel.send("notices", notices=notices)

    def _stop_short(self, words: Iterator[str]) -> None:
        """End without a run: wait for the parent's last word, whatever it says before."""
        self._channel.send("ready")
        for _ in words:
            continue
        self._channel.send("ended")

    def _check_once(self, model: Model, prepared: Prepared, outputs: PyTree) -> None:
        with stage(self._channel, "check"):
            self._check(model, prepared, outputs)

    def _jit(self) -> tuple[Ledger | None, Any]:
        """``jax.jit``, or its guarded double with the ledger of what the guard does."""
        import jax

        if self._spec.guard == GUARD_OFF:
            return None, jax.jit
        from perfkit.guard.injection.guarded_jit import make_guarded_jit
        from perfkit.guard.injection.ledger import Ledger

        ledger = Ledger()
        zero_rounding = self._spec.guard == GUARD_ZERO
        return ledger, make_guarded_jit(jax.jit, ledger, zero_rounding)

    def _use_compile_cache(self) -> list[str]:
        """Switch JAX's persistent cache on if it is asked for; returns what it will report."""
        import jax

        seen: list[str] = []
        if self._spec.compile_cache is None:
            jax.config.update("jax_enable_compilation_cache", False)
            return seen
        self._programs = Programs(Path(self._spec.compile_cache), self._folder / "programs")
        jax.config.update("jax_compilation_cache_dir", str(self._programs.offer()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        # A hit is only known from these events: the compile call looks the same either way.
        jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
        return seen

    def _report_compilation(
        self, compiled: Any, cache_events: list[str], prepared: Prepared
    ) -> None:
        memory = compiled.memory_analysis()
        cost = compiled.cost_analysis() or {}
        hits = sum(event.endswith("/cache_hits") for event in cache_events)
        cache = "off" if self._spec.compile_cache is None else ("hit" if hits else "miss")
        temporary_bytes = int(memory.temp_size_in_bytes)
        output_bytes = int(memory.output_size_in_bytes)
        self._channel.send(
            "compiled",
            cache=cache,
            temporary_bytes=temporary_bytes,
            argument_bytes=int(memory.argument_size_in_bytes),
            output_bytes=output_bytes,
            code_bytes=int(memory.generated_code_size_in_bytes),
            flops=float(cost.get("flops", 0.0)),
            bytes_accessed=float(cost.get("bytes accessed", 0.0)),
            parts=dict(prepared.parts),
        )
        if self._spec.last_stage == COMPILE_STAGE:
            return
        limit = self._spec.memory_limit_bytes
        needed = _resident_bytes() + temporary_bytes + output_bytes
        if limit is not None and needed > limit:
            raise NotEnoughMemoryError(
                f"the compiled program needs {needed / 1e9:.1f} GB resident, "
                f"the limit is {limit / 1e9:.1f} GB"
            )

    def _trace(self, model: Model, compiled: Any, one_pass: Callable[[], PyTree]) -> None:
        """One more pass, under JAX's profiler, reduced to seconds a part or kept as files."""
        import jax

        from perfkit.observers.trace.xla_parts import op_names, part_seconds, read_operations
        from perfkit.observers.trace.xla_trace import HLO_FILE, MARK_FILE, PASS_MARK, TRACE_FOLDER

        folder = self._folder / TRACE_FOLDER
        options = jax.profiler.ProfileOptions()
        # Python's own events are many, and no part of what is asked here.
        options.python_tracer_level = 0
        with jax.profiler.trace(str(folder), profiler_options=options):
            begin_s = time.monotonic()
            with jax.profiler.TraceAnnotation(PASS_MARK):
                one_pass()
        if self._spec.observers:
            (self._folder / HLO_FILE).write_text(compiled.as_text())
            (self._folder / MARK_FILE).write_text(json.dumps({"begin_s": begin_s}))
            self._channel.send("traced")
            return
        seconds = part_seconds(read_operations(folder), op_names(compiled.as_text()), model.part_of)
        # A trace of a real model is tens of megabytes; what is kept of it is this table.
        shutil.rmtree(folder)
        self._channel.send("traced", seconds=seconds)

    def _check(self, model: Model, prepared: Prepared, outputs: PyTree) -> None:
        from perfkit.answers.agreement import compare
        from perfkit.answers.finite import check_finite

        report = check_finite(_named_leaves(outputs), prepared.expected_nan)
        compared = prepared.compared(outputs)
        agreement = None
        # A reference that is not finite would make every right answer disagree.
        if self._spec.save_compared is not None and report.finite:
            save_answers(Path(self._spec.save_compared), compared)
        # A reference that ended badly has left no file.
        if self._spec.reference is not None and Path(self._spec.reference).exists():
            try:
                reference = load_answers(Path(self._spec.reference))
            except DamagedError as error:
                self._notices += (
                    f"the answer was compared with nothing: the reference is {error}",
                )
                self._send_notices()
            else:
                told = compare(compared, reference, model.tolerances)
                declared = model.declared_class(self._spec.overrides)
                agreement = told.as_dict() | {
                    "declared": declared.label,
                    "within": told.within(declared),
                }
        files: list[str] = []
        # Upstream's writers fail on NaN, and a structure made of it is no prediction.
        if self._spec.output_folder is not None and report.finite:
            files = self._write(prepared, outputs, Path(self._spec.output_folder))
        # What was logged since the last notices reaches the record too.
        self._send_notices()
        self._channel.send(
            "checked",
            finite=report.as_dict(),
            finite_sentence=report.sentence(),
            agreement=agreement,
            files=files,
            peak_rss_bytes=peak_rss_bytes(),
        )

    def _write(self, prepared: Prepared, outputs: PyTree, folder: Path) -> list[str]:
        """Leave the prediction's files in ``folder``, or in the trial's own where it is taken."""
        from perfkit.models.base import Workload
        from perfkit.trial.worker.output_folder import write_prediction

        staged = self._folder / "prediction"
        workload = Workload.from_dict(self._spec.workload)
        files = write_prediction(
            lambda into: prepared.write(outputs, into), staged, folder, workload
        )
        if staged.exists():
            self._notices += (
                f"the prediction is in {staged}: files in {folder} that are not of an earlier run "
                "of this input are in its way",
            )
            self._send_notices()
        return [str(path) for path in files]


class _Said(logging.Handler):
    """Collects what perfkit's own modules warn of, such as a cache file that is made again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message, without the name that it has on a terminal."""
        self.messages.append(record.getMessage().removeprefix("perfkit: "))


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _named_leaves(outputs: PyTree) -> dict[str, Any]:
    import jax
    import numpy as np

    leaves, _ = jax.tree_util.tree_flatten_with_path(outputs)
    return {jax.tree_util.keystr(path).strip("."): np.asarray(leaf) for path, leaf in leaves}
