"""Makes a recorded sweep from the records of its recording."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from benchmarks.recorded import RecordedConfiguration, RecordedProgram, RecordedSweep, StartSeconds
from benchmarks.recording import RecordingPlan, by_configuration, paired_passes
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.schema import Compilation, Outcome, Record
from perfkit.records.settings import settings_digest
from perfkit.records.stages import StageName
from perfkit.tuning.search.evidence import gives_up
from perfkit.tuning.search.settings import program_settings

QUIET_SHARE = 0.05
"""Share of the CPU time that other programs may use before the sweep has a notice about it."""

SKIPPED_S = 0.05
"""Seconds below which a trial did not go through a stage, because its process had done so for
another trial. Imports, preparation and lowering take 0.2 s and more."""


def sweep_of(plan: RecordingPlan, records: Sequence[Record]) -> RecordedSweep:
    """The sweep of the configurations that have been measured, or that failed for good.

    Raises
    ------
    UserError
        Stock was not measured.
    """
    found = by_configuration(records)
    pairs = paired_passes(records, plan.base)
    stock = [record for record in found[STOCK.digest] if record.compilation is not None]
    if not pairs[STOCK.digest] or not stock:
        raise UserError(f"stock was not measured yet, in {plan.store.folder}")
    compile_s = _compile_seconds(records)
    # What a pass of stock would have taken in each round, by the base.
    stock_per_base = statistics.median(own / base for own, base in pairs[STOCK.digest])
    entries = [
        _entry(found[one.digest], pairs[one.digest], stock_per_base, compile_s.get(one.digest))
        for one in plan.configurations
        if gives_up(outcomes := [record.outcome for record in found[one.digest]])
        or (pairs[one.digest] and Outcome.OK in outcomes)
    ]
    measured = [record for digest in found for record in found[digest]]
    last = stock[-1]
    assert last.compilation is not None
    return RecordedSweep(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        workload=last.workload,
        parts=last.compilation.parts,
        machine=last.machine.model_copy(update={"host": None}),
        allowed_cpus=last.allowed_cpus,
        versions=last.versions,
        notices=_notices(last, measured),
        starts=_starts(records),
        base=plan.base.as_dict(),
        configurations=entries,
    )


def fastest(
    plan: RecordingPlan, records: Sequence[Record], count: int, rounds: int
) -> tuple[Configuration, ...]:
    """The configurations among the fastest that have fewer than a number of rounds.

    Parameters
    ----------
    plan
        The recording.
    records
        Its records.
    count
        Number of the fastest configurations that are looked at.
    rounds
        Number of rounds that each of them should have.
    """
    if not count:
        return ()
    right = sorted(
        (one for one in sweep_of(plan, records).configurations if one.right),
        key=lambda one: one.ratio,
    )
    short = [one for one in right[:count] if len(one.passes_s) < rounds]
    return tuple(plan.catalogue.configuration(one.settings) for one in short)


def _compile_seconds(records: Iterable[Record]) -> dict[str, float]:
    """Seconds of the longest compilation by digest of the configuration.

    Most trials do not compile: their process keeps the program, or it comes from the cache of the
    recording, which a trial with another allocator has filled.
    """
    seconds: dict[str, float] = defaultdict(float)
    programs: dict[str, str] = {}
    for record in records:
        stage, configuration = record.stage(StageName.COMPILE), record.configuration
        if stage is not None:
            settings = tuple(sorted(configuration.settings.items()))
            program = settings_digest(program_settings(settings))
            programs[configuration.digest] = program
            seconds[program] = max(stage.wall_s, seconds[program])
    return {digest: seconds[program] for digest, program in programs.items()}


def _entry(
    records: Sequence[Record],
    pairs: Sequence[tuple[float, float]],
    stock_per_base: float,
    compile_s: float | None,
) -> RecordedConfiguration:
    """The entry of a configuration, from the trial with the most passes, or from the last one."""
    good = [one for one in records if one.outcome is Outcome.OK]
    record = max(good, key=lambda one: len(one.steady)) if good and pairs else records[-1]
    first = record.stage(StageName.FIRST)
    return RecordedConfiguration(
        settings=dict(sorted(record.configuration.settings.items())),
        outcome=record.outcome,
        reason=record.reason,
        passes_s=[own for own, _ in pairs],
        base_s=[stock_per_base * base for _, base in pairs],
        first_s=None if first is None else first.wall_s,
        compile_s=compile_s,
        program=None if record.compilation is None else _program(record.compilation),
        peak_rss_bytes=record.peak_rss_bytes,
        shared_process=record.shared_process,
        agreement=record.agreement,
        part_times_s=next((one.part_times_s for one in good if one.part_times_s), None),
    )


def _program(compilation: Compilation) -> RecordedProgram:
    return RecordedProgram(
        code_bytes=compilation.code_bytes,
        temporary_bytes=compilation.temporary_bytes,
        argument_bytes=compilation.argument_bytes,
        output_bytes=compilation.output_bytes,
    )


def _starts(records: Sequence[Record]) -> StartSeconds:
    """Medians over the trials that went through a stage; in a shared process, most do not."""

    def median_s(
        name: StageName, *, since_start: bool = False, least_s: float = SKIPPED_S
    ) -> float:
        of_name = [stage for one in records for stage in one.stages if stage.name is name]
        stages = [one for one in of_name if one.wall_s >= least_s] or of_name
        seconds = [one.wall_s + (one.begin_s if since_start else 0.0) for one in stages]
        return statistics.median(seconds or [0.0])

    return StartSeconds(
        process_s=median_s(StageName.IMPORT, since_start=True),
        prepare_s=median_s(StageName.PREPARE),
        lower_s=median_s(StageName.TRACE),
        check_s=median_s(StageName.CHECK, least_s=0.0),
    )


def _notices(stock: Record, records: Sequence[Record]) -> list[str]:
    """What a reader of the times must know."""
    notices = list(stock.workload.notices)
    others = [one.load.other_cpu_fraction for one in records if one.load is not None]
    busy = statistics.median(others or [0.0])
    if busy > QUIET_SHARE:
        notices.append(
            f"other programs used {busy:.0%} of the CPU time in the median trial, so that the "
            "times are longer and noisier than on a quiet machine"
        )
    return notices
