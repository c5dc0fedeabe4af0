"""Which records of a study a figure is drawn from.

Screening may run a shallow network, or several programs in one process. The times, memory and
utilisation of such trials are no properties of a prediction, so that they are taken apart here, at
one place, from those of all other trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfkit.records.schema import Record, WorkloadRecord
from perfkit.tuning.choice.recommend import measured_at_own_fidelity

type Prediction = tuple[str, int, str, tuple[tuple[str, int], ...]]
"""What a workload predicts, whatever the depth of its network: model, size and digest of the
input, and fidelity."""


@dataclass(frozen=True)
class StudyRecords:
    """The records of one prediction in a study, oldest first.

    Attributes
    ----------
    workload
        The prediction at full depth, or the shallow one where nothing else was measured.
    ranked
        Records that configurations are compared on, which include those of ``screened``.
    full
        Records with the time and memory of a prediction: of the whole network, in a process of its
        own.
    screened
        Records of shallow networks and of shared processes, which only compare configurations.
    """

    workload: WorkloadRecord
    ranked: tuple[Record, ...]
    full: tuple[Record, ...]
    screened: tuple[Record, ...]


def predictions(records: Sequence[Record]) -> tuple[StudyRecords, ...]:
    """The records that configurations are compared on, by what they predict, smallest size first.

    Parameters
    ----------
    records
        Records of one study. Those at another fidelity than that of the study are left out, unless
        there are no others.
    """
    ordered = sorted(records, key=lambda record: record.created)
    grouped: dict[Prediction, list[Record]] = defaultdict(list)
    for record in measured_at_own_fidelity(ordered) or ordered:
        grouped[_prediction(record.workload)].append(record)
    found = map(_study_records, grouped.values())
    return tuple(sorted(found, key=lambda study: study.workload.size))


def of_predictions(records: Sequence[Record]) -> list[Record]:
    """The records with the time and memory of a prediction, in their order."""
    return [record for record in records if record.is_prediction]


def _study_records(ranked: Sequence[Record]) -> StudyRecords:
    full = of_predictions(ranked)
    return StudyRecords(
        workload=(full or ranked)[-1].workload,
        ranked=tuple(ranked),
        full=tuple(full),
        screened=tuple(record for record in ranked if not record.is_prediction),
    )


def _prediction(workload: WorkloadRecord) -> Prediction:
    fidelity: Mapping[str, int] = workload.fidelity
    return (
        workload.model,
        workload.size,
        workload.input_digest,
        tuple(sorted(fidelity.items())),
    )
