"""What a folder of results can show: the page of its kind, the data behind it, and its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.versions.jaxlib_files import KNOWN_FILE, VERSIONS_FOLDER, stored_comparisons
from perfkit.capacity.laws.fit import FIT_NAME, ModelFit
from perfkit.errors import UserError
from perfkit.history.asv_results import is_results_folder, read_results
from perfkit.models import get_model
from perfkit.records.roles import Role
from perfkit.records.schema import Record, WorkloadRecord
from perfkit.records.store import PATTERN, read_folder
from perfkit.report.export.frames import Tables
from perfkit.report.export.other_tables import fit_tables, history_tables, profile_tables
from perfkit.report.export.study_tables import study_tables
from perfkit.report.fit_page import fit_page
from perfkit.report.history.page import history_page
from perfkit.report.profile.page import profile_page
from perfkit.report.selection import predictions
from perfkit.report.study.page import NO_NOTES, study_page
from perfkit.report.study.production import stored_extrapolations
from perfkit.report.study.search_section import SearchNotes
from perfkit.tuning.choice.extrapolate import Extrapolation
from perfkit.tuning.choice.notes import FILE_NAME as NOTES_NAME
from perfkit.tuning.choice.notes import StudyNotes, read_notes
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.preset import PRESET_NAME
from perfkit.tuning.versions.jaxlibs import JaxlibComparison

PAGE_NAME = "report.html"
"""File name of the page in the folder of a run, a tuning, a sweep, a fit or a plan."""

PROFILE_PAGE_NAME = "profile.html"
"""File name of the page of a profile, in its folder."""

PRESETS = "preset*.toml"
"""The presets of a tuning: that of the recommendation, and those of the front."""


@dataclass(frozen=True)
class ReportSource:
    """A folder of results, read.

    Attributes
    ----------
    folder
        The folder.
    page_name
        Usual file name of its page.
    page
        Renders the page for a reader whose files lie in the given folder.
    tables
        Computes the data behind the page.
    records
        Records that the page shows.
    files
        Further files that the page was made from, relative to the folder.
    skipped
        One sentence for each line or file that could not be read.
    """

    folder: Path
    page_name: str
    page: Callable[[Path], str]
    tables: Callable[[], Tables]
    records: tuple[Record, ...] = ()
    files: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def read_source(folder: Path, study: str | None = None) -> ReportSource:
    """Read a folder of results of any kind.

    Parameters
    ----------
    folder
        Folder of a run, a profile, a tuning, a sweep or a fit, or the results folder of asv.
    study
        Digest of the study to show; needed if the folder holds several.

    Raises
    ------
    UserError
        The folder holds nothing to show, or several studies.
    """
    if _holds_asv_results(folder):
        return _history_source(folder)
    stored = read_folder(folder)
    skipped = tuple(one.sentence() for one in stored.skipped)
    records = _records_of_study(folder, stored.records, study)
    if not records:
        return _empty_source(folder, skipped)
    if (folder / FIT_NAME).exists():
        return _fit_source(folder, records, skipped)
    if len(records) == 1 and records[0].role is Role.SINGLE and records[0].observations:
        return _profile_source(folder, records[0], skipped)
    return _study_source(folder, records, skipped)


@dataclass(frozen=True)
class StoredStudy:
    """A study that is read from its records.

    Attributes
    ----------
    records
        Records of one study; at least one.
    title
        Title of the page.
    recommendation
        The recommendation; None for several workloads, which are ranked separately.
    extrapolations
        Production times, that of stock first.
    search
        What the records do not hold about the search.
    jaxlibs
        Comparisons of versions of jaxlib.
    """

    records: tuple[Record, ...]
    title: str
    recommendation: Recommendation | None
    extrapolations: tuple[Extrapolation, ...] = ()
    search: SearchNotes = NO_NOTES
    jaxlibs: tuple[JaxlibComparison, ...] = ()

    def page(self, preset: Path | None, skipped: Sequence[str] = ()) -> str:
        """The page as HTML.

        Parameters
        ----------
        preset
            File of the study's preset, as a reader names it; None if there is none.
        skipped
            One sentence for each line that could not be read.
        """
        return study_page(
            self.records,
            self.recommendation,
            self.extrapolations,
            self.title,
            preset,
            skipped,
            self.search,
            self.jaxlibs,
        )

    def tables(self) -> Tables:
        """The data behind the page."""
        return study_tables(self.records, self.recommendation, self.extrapolations, self.jaxlibs)


def stored_study(
    records: Sequence[Record],
    jaxlibs: Sequence[JaxlibComparison] = (),
    notes: StudyNotes | None = None,
) -> StoredStudy:
    """What stored records show.

    Parameters
    ----------
    records
        Records of one study; at least one.
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
        return StoredStudy(tuple(records), title, None, jaxlibs=tuple(jaxlibs))
    best = recommend(records, None if notes is None else notes.goal.goal())
    return StoredStudy(
        tuple(records),
        f"{last.name} ({_size_text(last)}) with {last.model}",
        best,
        stored_extrapolations(records, best),
        NO_NOTES if notes is None else SearchNotes(notes.not_tried, notes.not_installed),
        tuple(jaxlibs),
    )


def _size_text(workload: WorkloadRecord) -> str:
    """The size of a workload with its unit, if its model is installed here."""
    try:
        return f"{workload.size} {get_model(workload.model).size_unit}"
    except UserError:
        return str(workload.size)


def _study_source(folder: Path, records: Sequence[Record], skipped: Sequence[str]) -> ReportSource:
    digest = records[-1].study
    content = stored_study(
        records,
        stored_comparisons(folder, records),
        None if digest is None else read_notes(folder, digest),
    )
    has_preset = (folder / PRESET_NAME).exists()

    def page(reader: Path) -> str:
        return content.page(reader / PRESET_NAME if has_preset else None, skipped)

    notes = NOTES_NAME.format(study=digest)
    names = [PRESETS, notes, KNOWN_FILE, f"{VERSIONS_FOLDER}/{KNOWN_FILE}"]
    names.append(f"{VERSIONS_FOLDER}/{PATTERN}")
    return ReportSource(
        folder,
        PAGE_NAME,
        page,
        content.tables,
        tuple(records),
        _existing(folder, names),
        tuple(skipped),
    )


def _empty_source(folder: Path, skipped: Sequence[str]) -> ReportSource:
    """A study whose first trial has not finished, or whose lines are all damaged."""
    title = folder.resolve().name

    def page(reader: Path) -> str:
        return study_page((), None, (), title, None, skipped)

    return ReportSource(folder, PAGE_NAME, page, dict, skipped=tuple(skipped))


def _profile_source(folder: Path, record: Record, skipped: Sequence[str]) -> ReportSource:
    return ReportSource(
        folder,
        PROFILE_PAGE_NAME,
        lambda reader: profile_page(record, folder),
        lambda: profile_tables(record),
        (record,),
        skipped=tuple(skipped),
    )


def _fit_source(folder: Path, records: Sequence[Record], skipped: Sequence[str]) -> ReportSource:
    fit = ModelFit.load(folder / FIT_NAME)
    # A plan is compared with runs at full fidelity, which no law was fitted to.
    fitted = [record for record in records if record.role is not Role.FULL_FIDELITY]
    return ReportSource(
        folder,
        PAGE_NAME,
        lambda reader: fit_page(fit, fitted),
        lambda: fit_tables(fit, fitted),
        tuple(records),
        (FIT_NAME,),
        tuple(skipped),
    )


def _history_source(folder: Path) -> ReportSource:
    reading = read_results(folder)
    return ReportSource(
        folder,
        PAGE_NAME,
        lambda reader: history_page(reading.results, reading.skipped),
        lambda: history_tables(reading.results),
        files=_existing(folder, ["**/*.json"]),
        skipped=tuple(reading.skipped),
    )


def _existing(folder: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """Files of a folder that match a pattern, as relative paths."""
    found = (path for pattern in patterns for path in sorted(folder.glob(pattern)))
    return tuple(path.relative_to(folder).as_posix() for path in found if path.is_file())


def _holds_asv_results(folder: Path) -> bool:
    try:
        return is_results_folder(folder) and not any(folder.glob(PATTERN))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror})") from error


def _records_of_study(folder: Path, records: Sequence[Record], study: str | None) -> list[Record]:
    """The records of a study; none where a study has begun, and no trial of it has finished.

    Raises
    ------
    UserError
        There are several studies, or no study at all.
    """
    studies = sorted({record.study for record in records if record.study is not None})
    if study is None and len(studies) > 1:
        raise UserError(
            f"{folder} holds {len(studies)} studies ({', '.join(studies)}): select one with --study"
        )
    chosen = [record for record in records if study in (None, record.study)]
    if not chosen and (study is not None or not any(folder.glob(PATTERN))):
        found = "no records" if study is None else f"no records of study {study}"
        raise UserError(f"{folder} holds {found} to report on")
    return chosen
