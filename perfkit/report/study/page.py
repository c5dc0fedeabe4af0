"""The page of a study: answer, effects, scaling, where the time goes, trust, and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.page import PageContent, PageSection, render_page
from perfkit.report.selection import StudyRecords, predictions
from perfkit.report.study.answer import (
    commands,
    fidelity_sentences,
    machine_verdict,
    peak_memory_bytes,
    sides_table,
)
from perfkit.report.study.effects import effects_section
from perfkit.report.study.evidence import evidence_section
from perfkit.report.study.jaxlib_tables import jaxlib_section
from perfkit.report.study.production import tolerances_of
from perfkit.report.study.scaling import scaling_section
from perfkit.report.study.search_section import SearchNotes
from perfkit.report.study.trust import notices_table, trust_section
from perfkit.report.study.where import HEADING as WHERE
from perfkit.report.study.where import production_figures, where_section
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.versions.jaxlibs import JaxlibComparison
from perfkit.units import count_text

NO_NOTES = SearchNotes()
"""Of a study that is read from its records."""

NOTHING_YET = "No trial has finished yet, so there is nothing to report."
"""The answer of a study without records."""

EFFECTS, TRUST = "Effects", "Trust"

type Ranked = tuple[StudyRecords, Recommendation]
"""The records of a workload, and the recommendation from them."""


def study_page(
    records: Sequence[Record],
    recommendation: Recommendation | None,
    extrapolations: Sequence[Extrapolation],
    title: str,
    preset_path: Path | None,
    skipped: Sequence[str] = (),
    search: SearchNotes = NO_NOTES,
    jaxlibs: Sequence[JaxlibComparison] = (),
) -> str:
    """Render the page of one study as a self-contained HTML document.

    The parameters are those of :func:`study_content`.
    """
    return render_page(
        study_content(
            records, recommendation, extrapolations, title, preset_path, skipped, search, jaxlibs
        )
    )


def study_content(
    records: Sequence[Record],
    recommendation: Recommendation | None,
    extrapolations: Sequence[Extrapolation],
    title: str,
    preset_path: Path | None,
    skipped: Sequence[str] = (),
    search: SearchNotes = NO_NOTES,
    jaxlibs: Sequence[JaxlibComparison] = (),
) -> PageContent:
    """Everything on the page of one study, as data.

    Parameters
    ----------
    records
        All records of the study with any outcome, including those of parts and checks.
    recommendation
        Recommendation of the study; None for a sweep, whose workloads are ranked separately.
    extrapolations
        Production times, that of stock first; may be empty.
    title
        Title of the page as plain text.
    preset_path
        File of the recommended preset; None if none was saved.
    skipped
        One sentence per line of the records that could not be read.
    search
        What the records do not hold about the search.
    jaxlibs
        Comparisons of versions of jaxlib.

    """
    if not records:
        return PageContent(
            title=title,
            sentence=NOTHING_YET,
            warnings=facts.skipped_warnings("line", skipped),
        )
    ordered = sorted(records, key=lambda record: record.created)
    studies = predictions(ordered)
    compared = [record for study in studies for record in study.ranked]
    alone = len(studies) == 1 and recommendation is not None
    ranked: list[Ranked] = [
        (study, recommendation if alone and recommendation else recommend(study.ranked))
        for study in studies
    ]
    best = recommendation.best if recommendation is not None else None
    model = ordered[-1].workload.model
    sides = sides_table(ordered, recommendation, extrapolations) if recommendation else None
    return PageContent(
        title=title,
        subtitle=_subtitle(ordered),
        sentence=recommendation.sentence if recommendation is not None else "",
        verdict=(
            machine_verdict(ordered, recommendation, extrapolations) if recommendation else ""
        ),
        sides=sides,
        settings=tuple(best.settings.items()) if best is not None else (),
        commands=commands(
            preset_path,
            model,
            best,
            peak_memory_bytes(ordered, best),
            None if recommendation is None else recommendation.chosen_instances,
        ),
        production=fidelity_sentences(ordered, extrapolations) if sides is not None else (),
        notices=facts.notices(_at_full_depth(ordered)),
        warnings=(*facts.skipped_warnings("line", skipped), *facts.warnings(ordered)),
        sections=(
            _effects(ranked, search if alone else NO_NOTES, jaxlibs, alone=alone),
            scaling_section(studies, recommendation),
            _where(ranked, extrapolations),
            _trust(ranked, ordered),
            evidence_section(ordered, compared, recommendation),
        ),
    )


def _at_full_depth(records: Sequence[Record]) -> Sequence[Record]:
    """The records that the answer rests on: those of the full network, if there are any."""
    full = [record for record in records if record.workload.depth == FULL_DEPTH]
    return full or records


def _subtitle(records: Sequence[Record]) -> str:
    first, last = (record.created[:16].replace("T", " ") for record in (records[0], records[-1]))
    span = first if first == last else f"{first} to {last}"
    return f"{count_text(len(records), 'trial')}, {span} UTC"


def _effects(
    ranked: Sequence[Ranked],
    search: SearchNotes,
    jaxlibs: Sequence[JaxlibComparison],
    *,
    alone: bool,
) -> PageSection:
    versions = jaxlib_section(tuple(jaxlibs))
    if len(ranked) == 1:
        (own,) = ranked
        found = effects_section(EFFECTS, *own, search)
        return _with_parts(found, versions, with_search=alone)
    parts = (
        _with_parts(
            effects_section(facts.workload_text(study.workload), study, best, search, _lead(best)),
            with_search=False,
        )
        for study, best in ranked
    )
    return PageSection(EFFECTS, parts=(versions, *parts))


def _where(ranked: Sequence[Ranked], extrapolations: Sequence[Extrapolation]) -> PageSection:
    if len(ranked) == 1:
        (own,) = ranked
        return where_section(WHERE, *own, extrapolations)
    return PageSection(
        WHERE,
        figures=production_figures(extrapolations),
        parts=tuple(
            where_section(facts.workload_text(one.workload), one, best) for one, best in ranked
        ),
    )


def _trust(ranked: Sequence[Ranked], records: Sequence[Record]) -> PageSection:
    tolerances = tolerances_of(records[-1].workload.model)
    if len(ranked) == 1:
        (own,) = ranked
        found = trust_section(TRUST, *own, tolerances)
        return replace(found, plain=(*notices_table(records), *found.plain))
    return PageSection(
        TRUST,
        plain=notices_table(records),
        parts=tuple(
            trust_section(facts.workload_text(one.workload), one, best, tolerances)
            for one, best in ranked
        ),
    )


def _with_parts(section: PageSection, *further: PageSection, with_search: bool) -> PageSection:
    """The section with further parts, and without that on the search where nothing searched."""
    return replace(section, parts=(*(section.parts if with_search else ()), *further))


def _lead(recommendation: Recommendation) -> str:
    """Recommendation for one of several workloads; empty if nothing is faster than stock."""
    best = recommendation.best
    if best is None or best is recommendation.stock:
        return ""
    return f"{best.label}: {recommendation.sentence}"
