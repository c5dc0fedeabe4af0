"""What a study's numbers rest on: workload, machine, versions, settings in full, and records."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.installed_flags import flags_text
from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.page import PageLink, PageSection
from perfkit.report.plain_table import NOTHING, PlainTable
from perfkit.report.status import outcome_text
from perfkit.tuning.choice.recommend import Recommendation
from perfkit.units import bytes_text, seconds_text

MOST_RECORDS = 200
"""Most records in the table: the last ones. The records hold all of them."""

MOST_LINKS = 50
"""Most links to artifacts."""

XLA_PREFIX = "xla_"


def evidence_section(
    records: Sequence[Record], compared: Sequence[Record], recommendation: Recommendation | None
) -> PageSection:
    """Facts, settings in full, the list of trials, and links to artifacts.

    Parameters
    ----------
    records
        All records of the study, oldest first.
    compared
        Those that configurations were compared on.
    recommendation
        Recommendation of the study; None for a sweep.
    """
    tables = (_settings_table(recommendation), _environment_table(records), _records_table(records))
    return PageSection(
        "Evidence",
        facts=(
            facts.workload_facts(compared),
            facts.machine_facts(records),
            facts.version_facts(records),
        ),
        plain=tuple(table for table in tables if table is not None),
        links=_links(records),
    )


def _settings_table(recommendation: Recommendation | None) -> PlainTable | None:
    """The recommended settings as the program gets them, the flags of XLA in one variable."""
    best = None if recommendation is None else recommendation.best
    if best is None or not best.settings:
        return None
    flags = {name: value for name, value in best.settings.items() if name.startswith(XLA_PREFIX)}
    rows = [(name, value) for name, value in best.settings.items() if name not in flags]
    if flags:
        rows.append(("XLA_FLAGS", flags_text(flags)))
    return PlainTable("Recommended settings in full", ("name", "value"), tuple(rows))


def _environment_table(records: Sequence[Record]) -> PlainTable | None:
    """Variables that trials inherited, or that were withheld from them."""
    rows: dict[tuple[str, str, str], None] = {}
    for record in records:
        for name, value in record.passed_on_variables.items():
            rows[name, value, "passed on"] = None
        for name, value in record.left_out_variables.items():
            rows[name, value, "withheld"] = None
    if not rows:
        return None
    headers = ("variable", "value", "in the trials")
    return PlainTable("Environment", headers, tuple(rows), folded=True)


def _records_table(records: Sequence[Record]) -> PlainTable:
    shown = records[-MOST_RECORDS:]
    rows = tuple(
        (
            record.created[:19].replace("T", " "),
            record.role,
            record.configuration.label,
            facts.fidelity_text(record.workload.fidelity) + f", {record.workload.depth}",
            _median_text(record),
            bytes_text(record.peak_rss_bytes) if record.peak_rss_bytes else NOTHING,
            outcome_text(record.outcome, record.reason),
            record.id,
        )
        for record in shown
    )
    heading = f"All {len(records)} records"
    if len(shown) < len(records):
        heading = f"The last {len(shown)} of {len(records)} records"
    headers = (
        "begin (UTC)",
        "role",
        "configuration",
        "fidelity, depth",
        "passes",
        "peak memory",
        "outcome",
        "id",
    )
    return PlainTable(heading, headers, rows, folded=True)


def _median_text(record: Record) -> str:
    walls = sorted(stage.wall_s for stage in record.steady)
    if not walls:
        return NOTHING
    ends = dict.fromkeys((seconds_text(walls[0]), seconds_text(walls[-1])))
    return f"{len(walls)} x {' to '.join(ends)}"


def _links(records: Sequence[Record]) -> tuple[PageLink, ...]:
    found = {
        path: PageLink(f"{name} of {record.id}", path)
        for record in records
        for name, path in record.artifacts.items()
    }
    return tuple(found.values())[:MOST_LINKS]
