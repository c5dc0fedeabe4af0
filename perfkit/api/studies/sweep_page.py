"""The result of a sweep: rankings, and a page for each kind of machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit.api.reporting import PAGE_NAME
from perfkit.api.studies.study_results import SweepResult
from perfkit.file_names import file_name
from perfkit.records.schema import Record
from perfkit.report.study.page import study_page
from perfkit.report.writing import write_report
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.studies.nodes import by_kind
from perfkit.tuning.studies.sweep import SweepPlan
from perfkit.tuning.versions.jaxlibs import JaxlibComparison


def finish_sweep(
    plan: SweepPlan,
    records: Sequence[Record],
    folder: Path,
    interrupted: bool = False,
    comparisons: tuple[JaxlibComparison, ...] = (),
) -> SweepResult:
    """Rank the configurations of each workload on each kind of machine, and write the page."""
    kinds = by_kind(records)
    rankings = []
    for workload in plan.workloads:
        for kind, measured in kinds.items():
            own = [one for one in measured if one.workload.digest == workload.digest]
            if own:
                title = f"{workload.name} ({workload.size} {plan.model.size_unit})"
                title += f", {kind}" if len(kinds) > 1 else ""
                rankings.append((title, recommend(own)))
    page = None
    title = f"sweep of {len(plan.workloads)} inputs with {plan.model.name}"
    # A page compares what ran on one kind of machine. The kind with the most trials comes first.
    for kind, measured in sorted(kinds.items(), key=lambda one: -len(one[1])):
        name = PAGE_NAME if page is None else f"{file_name(f'report-{kind}')}.html"
        full_title = title if len(kinds) == 1 else f"{title}, {kind}"
        document = study_page(measured, None, [], full_title, None, jaxlibs=comparisons)
        write_report(folder / name, document)
        page = page or folder / name
    return SweepResult(tuple(records), tuple(rankings), folder, page, interrupted, comparisons)
