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
from perfkit.report.figures.search.importance import importance_figure, importance_info
from perfkit.report.figures.search.instances import instances_figure, instances_info
from perfkit.report.figures.search.looked import looked_figure, looked_info
from perfkit.report.figures.search.screening import screening_figure, screening_info
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
from perfkit.report.selection import StudyRecords, of_predictions, predictions
from perfkit.tuning.choice.importance import importance as knob_importance
from perfkit.tuning.choice.recommend import Recommendation, recommend


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
    return speedup_figure(speedup_info(_ranking(records)))


def passes(records: Sequence[Record]) -> go.Figure:
    """Steady time in seconds of every pass of every trial, over time. One workload."""
    study = _single(records)
    return passes_figure(passes_info(study.full, recommend(study.ranked)))


def memory(records: Sequence[Record]) -> go.Figure:
    """Peak resident memory of every configuration in GB. One workload."""
    return memory_figure(memory_info(_ranking(records)))


def time_memory(records: Sequence[Record]) -> go.Figure:
    """Median steady time against peak memory of every configuration. One workload."""
    return time_memory_figure(time_memory_info(_ranking(records)))


def stages(records: Sequence[Record]) -> go.Figure:
    """Wall seconds of every trial by stage."""
    return stages_figure(stages_info(of_predictions(_sorted(records))))


def timeline(records: Sequence[Record]) -> go.Figure:
    """Memory and CPU use over time, for stock and the recommended configuration. One workload."""
    study = _single(records)
    info = timeline_info(study.full, recommend(study.ranked))
    if not info.panels:
        raise _no_data("samples of stock or of the recommended configuration")
    return timeline_figure(info)


def scaling(records: Sequence[Record]) -> go.Figure:
    """Median steady time against size or number of CPUs: the figure of a sweep."""
    _sorted(records)
    info = scaling_info([record for study in predictions(records) for record in study.full])
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
    infos = (peaks_info(record) for record in reversed(of_predictions(_sorted(records))))
    info = next((one for one in infos if one.peaks), None)
    if info is None:
        raise _no_data("a measured or planned peak of memory")
    return peaks_figure(info)


def screening(records: Sequence[Record]) -> go.Figure:
    """Gains over stock on a shallow network or in a shared process. One workload."""
    study = _single(records)
    info = screening_info(study.screened, recommend(study.ranked))
    if info is None:
        raise _no_data("configurations that were screened on a shallow network")
    return screening_figure(info)


def looked_at(records: Sequence[Record]) -> go.Figure:
    """Number of configurations that were screened, measured and confirmed. One workload."""
    study = _single(records)
    return looked_figure(looked_info(study.ranked, recommend(study.ranked)))


def importance(records: Sequence[Record]) -> go.Figure:
    """Gain of the best value of every knob, and the share of the knob. One workload."""
    info = importance_info(knob_importance(_single(records).ranked))
    if info is None:
        raise _no_data("a configuration that was compared with stock")
    return importance_figure(info)


def instances(records: Sequence[Record]) -> go.Figure:
    """Predictions per hour by number of instances side by side. One workload."""
    _single(records)
    info = instances_info(recommend(records))
    if info is None:
        raise _no_data("instances that were measured side by side")
    return instances_figure(info)


FIGURES: Mapping[str, Callable[[Sequence[Record]], go.Figure]] = MappingProxyType(
    {
        drawn.__name__: drawn
        for drawn in (
            *(speedup, passes, memory, time_memory, stages, timeline, scaling),
            *(looked_at, screening, importance, instances),
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


def _single(records: Sequence[Record]) -> StudyRecords:
    """The records that the configurations of a study of one workload are compared on."""
    studies = predictions(_sorted(records))
    if len(studies) > 1:
        raise UserError(
            "this figure compares the configurations of one workload, and the records are of "
            f"{len(studies)}: select those of one workload"
        )
    return studies[0]


def _ranking(records: Sequence[Record]) -> Recommendation:
    return recommend(_single(records).ranked)


def _traced(records: Sequence[Record]) -> XlaResult:
    return _last(records, lambda record: found(record, "xla", XlaResult), "a trace of XLA")


def _last[Info](
    records: Sequence[Record], extract: Callable[[Record], Info | None], needed: str
) -> Info:
    """What ``extract`` finds in the last record that has it."""
    infos = (extract(record) for record in reversed(of_predictions(_sorted(records))))
    info = next((info for info in infos if info is not None), None)
    if info is None:
        raise _no_data(needed)
    return info


def _no_data(needed: str) -> UserError:
    return UserError(f"the records hold no data for this figure: it needs {needed}")
