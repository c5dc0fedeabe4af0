"""How far the numbers of a study can be trusted: agreement, noise, load and guard counts."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from perfkit.answers.agreement import Tolerance
from perfkit.records.schema import Outcome, Record
from perfkit.report import facts
from perfkit.report.figures.agreement import agreement_figure, agreement_info
from perfkit.report.figures.passes import passes_figure, passes_info
from perfkit.report.page import PageFigure, PageSection
from perfkit.report.plain_table import PlainTable
from perfkit.report.selection import StudyRecords
from perfkit.report.thinning import passes_sentence, shortlist, thinned_passes
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import count_text, percent_text

MOST_DRAWN = 30
"""Most configurations in the figure of passes."""

MOST_GUARDED = 20
"""Most configurations in the table of guard counts."""


def trust_section(
    heading: str,
    study: StudyRecords,
    recommendation: Recommendation,
    tolerances: Mapping[str, Tolerance],
) -> PageSection:
    """Agreement, drift and noise of one workload.

    Parameters
    ----------
    heading
        Heading of the section.
    study
        Records of the workload.
    recommendation
        Recommendation from these records.
    tolerances
        Limits of the model by compared quantity.
    """
    figures = []
    agreement = agreement_info(study.ranked, recommendation, tolerances)
    if agreement is not None:
        caption = (
            "Largest distance of each compared quantity from the float32 reference with the same "
            "seed. Beyond the limit, a configuration is not recommended."
        )
        figures.append(
            PageFigure("Agreement with the reference", caption, agreement_figure(agreement))
        )
    shown = shortlist(recommendation, MOST_DRAWN)
    passes = passes_info(shown.records(study.full), shown.recommendation)
    if passes.groups:
        drawn = thinned_passes(passes)
        caption = passes_sentence(passes, drawn)
        caption += " A slope within one configuration is drift of the machine."
        figures.append(PageFigure("Steady time of all trials", caption, passes_figure(drawn)))
    tables = (noise_table(study.full), load_table(study.ranked), guard_table(study.ranked))
    return PageSection(
        heading,
        figures=tuple(figures),
        plain=tuple(table for table in tables if table is not None),
    )


def notices_table(records: Sequence[Record]) -> tuple[PlainTable, ...]:
    """What a reader must know of every number, for example that the weights are synthetic."""
    rows = tuple((notice,) for notice in facts.notices(records))
    return (PlainTable("Notices", ("what concerns every number here",), rows),) if rows else ()


def noise_table(records: Sequence[Record]) -> PlainTable | None:
    """How much equal programs differed in this study; None for fewer than two processes of one.

    Parameters
    ----------
    records
        Records with the time of a prediction. Trials of one configuration on one machine run the
        same program, so that their differences are noise (A/A).

    Notes
    -----
    Standard deviations of the logarithms of times, pooled over configurations and processes, each
    weighted with its degrees of freedom.
    """
    medians: dict[tuple[str, int, str | None], list[float]] = defaultdict(list)
    within: list[list[float]] = []
    for record in records:
        if record.outcome is not Outcome.OK or not record.steady:
            continue
        logarithms = [math.log(stage.wall_s) for stage in record.steady]
        key = (record.configuration.digest, record.allowed_cpus, record.machine.digest)
        medians[key].append(statistics.median(logarithms))
        within.append(logarithms)
    rows = []
    for name, groups in (
        ("processes of one configuration", list(medians.values())),
        ("passes of one process", within),
    ):
        sigma = _pooled(groups)
        if sigma is not None:
            repeated = [group for group in groups if len(group) > 1]
            rows.append((name, percent_text(sigma), str(sum(map(len, repeated)))))
    if not rows:
        return None
    headers = ("between", "standard deviation", "measurements")
    return PlainTable("Noise of equal programs (A/A)", headers, tuple(rows))


def load_table(records: Sequence[Record]) -> PlainTable | None:
    """Other load on the machine during the trials; None where it was not recorded."""
    loads = [record.load for record in records if record.load is not None]
    if not loads:
        return None
    number: Callable[[float], str] = "{:.2f}".format
    quantities: tuple[tuple[str, list[float], Callable[[float], str]], ...] = (
        ("CPU time of other programs", [one.other_cpu_fraction for one in loads], percent_text),
        ("CPU time taken by the hypervisor", [one.steal_fraction for one in loads], percent_text),
        ("load average before a trial", [one.load_average_before for one in loads], number),
    )
    rows = []
    for name, values, text in quantities:
        ends = (min(values), statistics.median(values), max(values))
        rows.append((name, *map(text, ends)))
    heading = f"Load of the machine in {count_text(len(loads), 'trial')}"
    return PlainTable(heading, ("quantity", "least", "median", "largest"), tuple(rows))


def guard_table(records: Sequence[Record]) -> PlainTable | None:
    """Counts of the domain guard by configuration; None where it was off."""
    found: dict[str, list[int]] = {}
    for record in records:
        if record.guard is not None:
            counts = found.setdefault(record.configuration.label, [0, 0, 0])
            counts[0] += record.guard.lifted
            counts[1] += record.guard.zeroed
            counts[2] += 1
    if not found:
        return None
    rows = tuple(
        (label, f"{lifted:,}", f"{zeroed:,}", str(trials))
        for label, (lifted, zeroed, trials) in list(found.items())[:MOST_GUARDED]
    )
    headers = ("configuration", "lifted elements", "zeroed elements", "trials")
    return PlainTable("Counts of the domain guard", headers, rows)


def _pooled(groups: Sequence[Sequence[float]]) -> float | None:
    """Pooled standard deviation; None if no group has two values."""
    repeated = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if not freedom:
        return None
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in repeated)
    return math.sqrt(squares / freedom)
