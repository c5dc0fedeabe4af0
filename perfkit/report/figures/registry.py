"""The figures that need records alone, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import plotly.graph_objects as go

from perfkit.errors import UserError, unknown_name
from perfkit.observers.reading import found
from perfkit.observers.trace.xla_trace import XlaResult
from perfkit.records.schema import Record
from perfkit.report.figures.memory import memory_figure, memory_info
from perfkit.report.figures.memory_kinds import (
    memory_kinds_figure,
    memory_kinds_info,
    peaks_figure,
    peaks_info,
)
from perfkit.report.figures.pass_time import kinds_info, modules_info, pass_figure
from perfkit.report.figures.passes import passes_figure, passes_info
from perfkit.report.figures.roofline import roofline_figure, roofline_info
from perfkit.report.figures.scaling import scaling_figure, scaling_info
from perfkit.report.figures.speedup import speedup_figure, speedup_info
from perfkit.report.figures.stages import stages_figure, stages_info
from perfkit.report.figures.time_memory import time_memory_figure, time_memory_info
from perfkit.report.figures.timeline import timeline_figure, timeline_info
from perfkit.report.figures.utilisation import (
    busy_figure,
    busy_info,
    utilisation_figure,
    utilisation_info,
)
from perfkit.tuning.recommend import Recommendation, measured_at_own_fidelity, recommend


def figure(name: str, records: Sequence[Record]) -> go.Figure:
    """Draw a figure by name.

    Parameters
    ----------
    name
        Name of the figure, a key of :data:`FIGURES`.
    records
        Records of one study, for example from :func:`perfkit.records.store.read_records`.

    Raises
    ------
    UserError
        There is no figure of this name, or the records lack the data for it.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    return FIGURES[name](records)


def speedup(records: Sequence[Record]) -> go.Figure:
    """Speed-up of every configuration over stock with its 95 % interval. One workload."""
    return speedup_figure(speedup_info(_ranked(records)))


def passes(records: Sequence[Record]) -> go.Figure:
    """Steady time in seconds of every pass of every trial, over time. One workload."""
    return passes_figure(passes_info(_compared(records), _ranked(records)))


def memory(records: Sequence[Record]) -> go.Figure:
    """Peak resident memory of every configuration in GB. One workload."""
    return memory_figure(memory_info(_ranked(records)))


def time_memory(records: Sequence[Record]) -> go.Figure:
    """Median steady time against peak memory of every configuration. One workload."""
    return time_memory_figure(time_memory_info(_ranked(records)))


def stages(records: Sequence[Record]) -> go.Figure:
    """Wall seconds of every trial by stage."""
    return stages_figure(stages_info(_sorted(records)))


def timeline(records: Sequence[Record]) -> go.Figure:
    """Memory and CPU use over time, for stock and the recommended configuration. One workload."""
    info = timeline_info(_compared(records), _ranked(records))
    if not info.panels:
        raise _no_data("samples of stock or of the recommended configuration")
    return timeline_figure(info)


def scaling(records: Sequence[Record]) -> go.Figure:
    """Median steady time against size or number of CPUs: the figure of a sweep."""
    info = scaling_info(_compared(records))
    if info is None:
        raise _no_data("a configuration measured at several sizes or numbers of CPUs")
    return scaling_figure(info)


def modules(records: Sequence[Record]) -> go.Figure:
    """Seconds of one traced pass by module of the model, coloured by limit. A profile."""
    return pass_figure(modules_info(_traced(records)))


def operations(records: Sequence[Record]) -> go.Figure:
    """Seconds of one traced pass by kind of operation. A profile."""
    return pass_figure(kinds_info(_traced(records)))


def roofline(records: Sequence[Record]) -> go.Figure:
    """Rate of every module in FLOP/s under the measured ceilings of the machine. A profile."""
    info = roofline_info(_traced(records))
    if info is None:
        raise _no_data("measured ceilings of the machine")
    return roofline_figure(info)


def cpu_use(records: Sequence[Record]) -> go.Figure:
    """CPUs in use over time by consumer. A profile."""
    return utilisation_figure(_last(records, utilisation_info, "findings of the CPU observer"))


def busy_cpus(records: Sequence[Record]) -> go.Figure:
    """Share of every stage by number of busy CPUs. A profile."""
    return busy_figure(_last(records, busy_info, "counts of busy CPUs"))


def memory_over_time(records: Sequence[Record]) -> go.Figure:
    """Resident memory over time by kind of memory, in GB. A profile."""
    info = _last(records, memory_kinds_info, "findings of the memory observer")
    return memory_kinds_figure(info)


def memory_peaks(records: Sequence[Record]) -> go.Figure:
    """Peak memory as measured by the observers and planned by XLA, in GB. A profile."""
    infos = (peaks_info(record) for record in reversed(_sorted(records)))
    info = next((one for one in infos if one.peaks), None)
    if info is None:
        raise _no_data("a measured or planned peak of memory")
    return peaks_figure(info)


FIGURES: Mapping[str, Callable[[Sequence[Record]], go.Figure]] = MappingProxyType(
    {
        drawn.__name__: drawn
        for drawn in (
            *(speedup, passes, memory, time_memory, stages, timeline, scaling),
            *(modules, operations, roofline, cpu_use, busy_cpus, memory_over_time, memory_peaks),
        )
    }
)
"""Functions that draw a figure from records, by name. Each raises :class:`UserError` if the records
lack the data. Figures of a profile show the last record that has the data."""


def _sorted(records: Sequence[Record]) -> list[Record]:
    if not records:
        raise _no_data("at least one record")
    return sorted(records, key=lambda record: record.created)


def _compared(records: Sequence[Record]) -> list[Record]:
    """The records that configurations are compared on, oldest first."""
    ordered = _sorted(records)
    return measured_at_own_fidelity(ordered) or ordered


def _ranked(records: Sequence[Record]) -> Recommendation:
    compared = _compared(records)
    workloads = {record.workload.digest for record in compared}
    if len(workloads) > 1:
        raise UserError(
            "this figure compares the configurations of one workload, and the records are of "
            f"{len(workloads)}: select those of one workload"
        )
    return recommend(compared)


def _traced(records: Sequence[Record]) -> XlaResult:
    return _last(records, lambda record: found(record, "xla", XlaResult), "a trace of XLA")


def _last[Info](
    records: Sequence[Record], extract: Callable[[Record], Info | None], needed: str
) -> Info:
    """What ``extract`` finds in the last record that has it."""
    infos = (extract(record) for record in reversed(_sorted(records)))
    info = next((info for info in infos if info is not None), None)
    if info is None:
        raise _no_data(needed)
    return info


def _no_data(needed: str) -> UserError:
    return UserError(f"the records hold no data for this figure: it needs {needed}")
