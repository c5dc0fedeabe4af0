"""The page of records that were measured earlier, or of asv's results over commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.jaxlib_files import stored_comparisons
from perfkit.errors import UserError
from perfkit.history.asv_results import is_results_folder, read_results
from perfkit.records.schema import Record
from perfkit.records.store import PATTERN, read_folder
from perfkit.report.history.page import history_page
from perfkit.report.selection import predictions
from perfkit.report.study.page import study_page
from perfkit.report.study.production import stored_extrapolations
from perfkit.report.study.search_section import SearchNotes
from perfkit.report.writing import write_report
from perfkit.tuning.jaxlibs import JaxlibComparison
from perfkit.tuning.notes import StudyNotes, read_notes
from perfkit.tuning.preset import PRESET_NAME
from perfkit.tuning.recommend import recommend

PAGE_NAME = "report.html"
"""File name of the page in the folder of a run, a tuning, a sweep, a fit or a plan."""


@dataclass(frozen=True)
class ReportResult:
    """A page that was written.

    Attributes
    ----------
    page
        File of the page.
    skipped
        One sentence for each line or file that could not be read.
    """

    page: Path
    skipped: tuple[str, ...] = ()


def render_report(
    folder: Path | str, *, study: str | None = None, html: Path | str | None = None
) -> ReportResult:
    """Render the page of a folder of records or of asv results, as ``perfkit report`` does.

    Parameters
    ----------
    folder
        Folder of a run, a tuning or a sweep, or the results folder of asv.
    study
        Digest of the study to show; needed if the folder holds several.
    html
        File to write; by default ``report.html`` in the folder.

    Returns
    -------
    ReportResult
        The page, and the lines or files that could not be read.

    Raises
    ------
    UserError
        The folder holds no records or several studies, or the page cannot be written.

    Examples
    --------
    >>> perfkit.render_report("perfkit-results/tune-af3-ubiquitin").page  # doctest: +SKIP
    PosixPath('perfkit-results/tune-af3-ubiquitin/report.html')
    """
    folder = Path(folder)
    page = folder / PAGE_NAME if html is None else Path(html)
    if _holds_asv_results(folder):
        reading = read_results(folder)
        write_report(page, history_page(reading.results, reading.skipped))
        return ReportResult(page, tuple(reading.skipped))
    stored = read_folder(folder)
    skipped = [one.sentence() for one in stored.skipped]
    records = _records_of_study(folder, stored.records, study)
    preset = folder / PRESET_NAME
    digest = records[-1].study
    document = page_of_records(
        records,
        preset if preset.exists() else None,
        skipped,
        stored_comparisons(folder, records),
        None if digest is None else read_notes(folder, digest),
    )
    write_report(page, document)
    return ReportResult(page, tuple(skipped))


def page_of_records(
    records: Sequence[Record],
    preset: Path | None,
    skipped: Sequence[str] = (),
    jaxlibs: Sequence[JaxlibComparison] = (),
    notes: StudyNotes | None = None,
) -> str:
    """The page of stored records as HTML, made without the model or its input.

    Parameters
    ----------
    records
        Records of one study; at least one.
    preset
        File of the study's preset, or None.
    skipped
        One sentence for each line that could not be read.
    jaxlibs
        Comparisons of versions of jaxlib.
    notes
        Notes on the tuning that left the records; without them, the shortest prediction is
        recommended.
    """
    studies = predictions(records)
    last = studies[-1].workload
    if len(studies) > 1:
        title = f"sweep with {last.model}"
        return study_page(records, None, [], title, preset, skipped, jaxlibs=jaxlibs)
    title = f"{last.name} ({last.size}) with {last.model}"
    if notes is None:
        best = recommend(records)
        times = stored_extrapolations(records, best)
        return study_page(records, best, times, title, preset, skipped, jaxlibs=jaxlibs)
    search = SearchNotes(notes.not_tried, notes.not_installed)
    best = recommend(records, notes.goal.goal())
    times = stored_extrapolations(records, best)
    return study_page(records, best, times, title, preset, skipped, search, jaxlibs)


def _holds_asv_results(folder: Path) -> bool:
    try:
        return is_results_folder(folder) and not any(folder.glob(PATTERN))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror})") from error


def _records_of_study(folder: Path, records: Sequence[Record], study: str | None) -> list[Record]:
    studies = sorted({record.study for record in records if record.study is not None})
    if study is None and len(studies) > 1:
        raise UserError(
            f"{folder} holds {len(studies)} studies ({', '.join(studies)}): select one with --study"
        )
    chosen = [record for record in records if study in (None, record.study)]
    if not chosen:
        found = "no records" if study is None else f"no records of study {study}"
        raise UserError(f"{folder} holds {found} to report on")
    return chosen
