"""Records as a pandas data frame, one row per trial."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from perfkit.records.schema import Record
from perfkit.records.stages import StageName
from perfkit.records.store import read_records

type Value = str | int | float | bool | None

COLUMNS: Mapping[str, str] = {
    "id": "string",
    "created": "datetime64[us, UTC]",
    "study": "string",
    "role": "string",
    "block": "string",
    "outcome": "string",
    "reason": "string",
    "model": "string",
    "workload": "string",
    "size": "Int64",
    "workload_digest": "string",
    "depth": "string",
    "shared_process": "boolean",
    "configuration": "string",
    "configuration_digest": "string",
    "host": "string",
    "cpu": "string",
    "machine_digest": "string",
    "allowed_cpus": "Int64",
    "wall_s": "float64",
    "import_s": "float64",
    "prepare_s": "float64",
    "trace_s": "float64",
    "compile_s": "float64",
    "first_s": "float64",
    "steady_s": "float64",
    "check_s": "float64",
    "passes": "Int64",
    "disturbed_passes": "Int64",
    "steady_cpus": "float64",
    "peak_rss_bytes": "Int64",
    "temporary_bytes": "Int64",
    "compilation_cache": "string",
    "agreement": "string",
    "agreement_declared": "string",
    "agreement_within": "boolean",
    "distance": "float64",
    "finite": "boolean",
    "bad_elements": "Int64",
    "guard": "string",
    "lifted": "Int64",
    "zeroed": "Int64",
    "other_cpu_fraction": "float64",
    "steal_fraction": "float64",
    "warnings": "Int64",
}
"""Columns that every frame has, with their types; :func:`read_frame` describes them."""

GROUPS: Mapping[str, str] = {
    "fidelity.": "Int64",
    "knob.": "string",
    "part.": "float64",
    "version.": "string",
}
"""Prefixes of the columns that depend on the records, with their types."""

ONCE = tuple(name for name in StageName if name is not StageName.STEADY)
"""Stages that run once per trial."""


def read_frame(folder: Path) -> pd.DataFrame:
    """The records in a folder as a data frame, one row per trial, oldest first.

    A value that a trial does not have is missing (``pd.NA``, or NaN in columns of floats).

    Parameters
    ----------
    folder
        Folder of the store. Lines that hold no record are skipped with a warning.

    Returns
    -------
    DataFrame
        With the columns

        ``id``, ``created``, ``study``, ``role``, ``block``, ``outcome``, ``reason``
            Identity of the trial; its start in UTC; digest of its study; its
            :class:`~perfkit.records.roles.Role`; the block of trials that it was interleaved with;
            its :class:`~perfkit.records.schema.Outcome`, and why it did not end well.
        ``model``, ``workload``, ``size``, ``workload_digest``
            Model; name, size (tokens or grid points, as the model counts) and digest of the input.
        ``depth``, ``shared_process``
            ``full`` or ``shallow``; whether the process held the programs of other trials too.
            Times of a shallow network, and the memory of a shared process, are not those of a
            prediction.
        ``fidelity.AXIS``
            Value of each axis of fidelity, e.g. ``fidelity.recycles``.
        ``configuration``, ``configuration_digest``, ``knob.NAME``
            Label and digest of the configuration, and the value of each knob that any of the
            trials sets; missing where a knob is at its default.
        ``host``, ``cpu``, ``machine_digest``, ``allowed_cpus``, ``version.PACKAGE``
            Machine, number of CPUs that the trial could run on, versions of packages.
        ``wall_s``
            Seconds from the start of the trial to the end of its last stage.
        ``import_s``, ``prepare_s``, ``trace_s``, ``compile_s``, ``first_s``, ``check_s``
            Wall seconds of the stages that run once.
        ``steady_s``, ``passes``, ``disturbed_passes``, ``steady_cpus``
            Median wall seconds of the timed passes, their number, the number of dropped passes,
            and the mean number of busy CPUs during the timed passes.
        ``part.NAME_s``
            Seconds of each part of the model in one pass, e.g. ``part.trunk_pass_s``.
        ``peak_rss_bytes``, ``temporary_bytes``, ``compilation_cache``
            Peak resident memory; temporary memory of the compiled program; ``off``, ``hit`` or
            ``miss`` of the persistent compilation cache.
        ``agreement``, ``agreement_declared``, ``agreement_within``, ``distance``
            Class of agreement with the reference; the class that the configuration promises;
            whether the promise is kept; the largest distance of any compared quantity (no unit).
        ``finite``, ``bad_elements``
            Whether all outputs are finite, and the number of elements that are not.
        ``guard``, ``lifted``, ``zeroed``
            Mode of the domain guard (``off`` without it), and the number of elements that it
            lifted or zeroed.
        ``other_cpu_fraction``, ``steal_fraction``, ``warnings``
            CPU time of other programs and of a hypervisor as fractions of the machine's CPU time;
            number of warnings of the trial.

    Raises
    ------
    UserError
        The folder does not exist, or a newer perfkit wrote all of its records.
    """
    return frame_of(read_records(folder))


def frame_of(records: Iterable[Record]) -> pd.DataFrame:
    """Records as a data frame, one row per record in their order; see :func:`read_frame`."""
    rows = [_row(record) for record in records]
    further = sorted({name for row in rows for name in row} - set(COLUMNS))
    types = {**COLUMNS, **{name: _type_of(name) for name in further}}
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=types[name]) for name in types}
    )


def _type_of(name: str) -> str:
    return next(kind for prefix, kind in GROUPS.items() if name.startswith(prefix))


def _row(record: Record) -> dict[str, Value | pd.Timestamp]:
    workload, configuration, machine = record.workload, record.configuration, record.machine
    compilation, load = record.compilation, record.load
    return {
        "id": record.id,
        "created": pd.to_datetime(record.created, utc=True),
        "study": record.study,
        "role": record.role.value,
        "block": record.block,
        "outcome": record.outcome.value,
        "reason": record.reason or None,
        "model": workload.model,
        "workload": workload.name,
        "size": workload.size,
        "workload_digest": workload.digest,
        "depth": workload.depth,
        "shared_process": record.shared_process,
        "configuration": configuration.label,
        "configuration_digest": configuration.digest,
        "host": machine.host,
        "cpu": machine.cpu,
        "machine_digest": machine.digest,
        "allowed_cpus": record.allowed_cpus,
        "peak_rss_bytes": record.peak_rss_bytes,
        "temporary_bytes": None if compilation is None else compilation.temporary_bytes,
        "compilation_cache": None if compilation is None else compilation.cache,
        "other_cpu_fraction": None if load is None else load.other_cpu_fraction,
        "steal_fraction": None if load is None else load.steal_fraction,
        "warnings": len(record.warnings),
        **_times(record),
        **_answer(record),
        **{f"fidelity.{axis}": value for axis, value in workload.fidelity.items()},
        **{f"knob.{name}": value for name, value in configuration.settings.items()},
        **{f"part.{name}_s": value for name, value in (record.part_times_s or {}).items()},
        **{f"version.{name}": value for name, value in record.versions.items()},
    }


def _times(record: Record) -> dict[str, Value]:
    steady = record.steady
    steady_s = sum(stage.wall_s for stage in steady)
    once_s = {stage.name: stage.wall_s for stage in record.stages}
    return {
        "wall_s": max((stage.begin_s + stage.wall_s for stage in record.stages), default=None),
        **{f"{name}_s": once_s.get(name) for name in ONCE},
        "steady_s": statistics.median(stage.wall_s for stage in steady) if steady else None,
        "passes": len(steady),
        "disturbed_passes": len(record.disturbed_passes),
        "steady_cpus": sum(stage.cpu_s for stage in steady) / steady_s if steady_s else None,
    }


def _answer(record: Record) -> dict[str, Value]:
    agreement, finite, guard = record.agreement, record.finite, record.guard
    return {
        "agreement": None if agreement is None else agreement.reached,
        "agreement_declared": None if agreement is None else agreement.declared,
        "agreement_within": None if agreement is None else agreement.within,
        "distance": None if agreement is None else agreement.largest_distance,
        "finite": None if finite is None else finite.finite,
        "bad_elements": None if finite is None else finite.bad,
        "guard": "off" if guard is None else guard.mode,
        "lifted": None if guard is None else guard.lifted,
        "zeroed": None if guard is None else guard.zeroed,
    }
