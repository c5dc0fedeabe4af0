"""Records of several nodes: those of one kind belong together, and a slower node is named."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record

SLOWER = 1.05
"""Ratio of times from which a node is called slower; processes of one program differ by as much."""

FALSE_ALARMS = 0.01
"""Probability of naming a node although all nodes of its kind are equally fast."""

LEAST_PROCESSES = 4
"""Fewest controls of a node, and of the others together, that are compared."""


def node_of(record: Record) -> str:
    """Name of the node of a record: by the batch system, else by its host."""
    return record.machine.node or record.machine.host or "unknown"


def by_kind(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by kind of machine: equal CPU, memory, kernel and settings.

    Returns
    -------
    dict
        Records by the name of the CPU. Kinds with the same CPU are numbered.
    """
    kinds: dict[str | None, list[Record]] = defaultdict(list)
    for record in records:
        kinds[record.machine.digest].append(record)
    found: dict[str, list[Record]] = {}
    for own in kinds.values():
        name = plain = own[0].machine.cpu or "unknown CPU"
        number = 1
        while name in found:
            number += 1
            name = f"{plain}, kind {number}"
        found[name] = own
    return found


def node_sentences(records: Sequence[Record]) -> list[str]:
    """Name each node whose controls were slower than those of the other nodes of its kind.

    The medians of the processes of the control are compared by the Mann-Whitney test [1]_, one
    process being one observation, since passes of one process are alike. Times are divided by the
    median of their workload before, so that several workloads count together.

    Parameters
    ----------
    records
        Records of a study, of all nodes and roles.

    References
    ----------
    .. [1] H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is
       stochastically larger than the other", Annals of Mathematical Statistics 18 (1947).
    """
    return [
        sentence for kind, own in by_kind(records).items() for sentence in _slower_nodes(kind, own)
    ]


def _slower_nodes(kind: str, records: Sequence[Record]) -> list[str]:
    from scipy.stats import mannwhitneyu

    times = _relative_times(records)
    found = []
    for node, own in sorted(times.items()):
        others = [time for name, one in times.items() if name != node for time in one]
        if min(len(own), len(others)) < LEAST_PROCESSES:
            continue
        ratio = float(np.median(own) / np.median(others))
        probability = float(mannwhitneyu(own, others, alternative="greater").pvalue)
        if ratio > SLOWER and probability * len(times) < FALSE_ALARMS:
            found.append(
                f"node {node} is {ratio:.2f} times as slow as the other nodes with {kind} "
                f"({len(own)} against {len(others)} controls)"
            )
    return found


def _relative_times(records: Sequence[Record]) -> dict[str, list[float]]:
    """Median pass of each control, relative to that of its workload, by node."""
    controls: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if _is_control(record) and record.outcome is Outcome.OK and record.steady:
            controls[record.workload.digest, record.configuration.digest].append(record)
    times: dict[str, list[float]] = defaultdict(list)
    for alike in controls.values():
        medians = [statistics.median(stage.wall_s for stage in one.steady) for one in alike]
        middle = statistics.median(medians)
        for record, median in zip(alike, medians, strict=True):
            times[node_of(record)].append(median / middle)
    return times


def _is_control(record: Record) -> bool:
    """Whether others are compared with a record: an incumbent, or stock in a block."""
    stock = not record.configuration.settings
    return record.role is Role.BASE or (record.role is Role.CONFIRM and stock)
