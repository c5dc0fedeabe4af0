"""The page of records that were measured earlier, or of asv's results over commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.report_sources import PAGE_NAME as PAGE_NAME
from perfkit.api.report_sources import ReportSource, read_source, stored_study
from perfkit.records.collecting import paused_collection
from perfkit.records.schema import Record
from perfkit.report.export.browser import Browser, find_browser
from perfkit.report.export.bundle import BundleContent, check_bundle, write_bundle
from perfkit.report.export.data import DESCRIPTION as DATA
from perfkit.report.export.data import can_write_parquet, write_data
from perfkit.report.export.outputs import check_folder
from perfkit.report.export.pictures import DESCRIPTION as PICTURES
from perfkit.report.export.pictures import pictures_of, write_pictures
from perfkit.report.writing import write_report
from perfkit.tuning.choice.notes import StudyNotes
from perfkit.tuning.versions.jaxlibs import JaxlibComparison


@dataclass(frozen=True)
class ReportResult:
    """A page that was written.

    Attributes
    ----------
    page
        File of the page.
    skipped
        One sentence for each line or file that could not be read.
    bundle, data, pictures
        The bundle, and the folders of data and of pictures; None where they were not asked for.
    remarks
        One sentence for each part of them that is missing.
    """

    page: Path
    skipped: tuple[str, ...] = ()
    bundle: Path | None = None
    data: Path | None = None
    pictures: Path | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportOutputs:
    """What is written in addition to a page.

    Attributes
    ----------
    bundle
        Folder, or file whose name ends in ``.zip``, for the page with everything that it links to
        and was made from.
    data
        Folder for the data behind the figures and tables.
    png
        Folder for pictures of the figures.
    """

    bundle: Path | None = None
    data: Path | None = None
    png: Path | None = None

    def check(self) -> Browser | None:
        """Check that all of it can be written, before anything is computed.

        Returns
        -------
        Browser or None
            The browser that draws the pictures, if there are to be any.

        Raises
        ------
        UserError
            Something of others has the name of an output, or there is no browser.
        """
        if self.bundle is not None:
            check_bundle(self.bundle)
        if self.data is not None:
            check_folder(self.data, DATA)
        if self.png is None:
            return None
        check_folder(self.png, PICTURES)
        return find_browser()


def render_report(
    folder: Path | str,
    *,
    study: str | None = None,
    html: Path | str | None = None,
    bundle: Path | str | None = None,
    data: Path | str | None = None,
    png: Path | str | None = None,
) -> ReportResult:
    """Render the page of a folder of records or of asv results, as ``perfkit report`` does.

    Parameters
    ----------
    folder
        Folder of a run, a profile, a tuning, a sweep or a fit, or the results folder of asv.
    study
        Digest of the study to show; needed if the folder holds several.
    html
        File to write; by default ``report.html`` in the folder, or ``profile.html`` for a profile.
    bundle
        Also write the page with its records, preset and artifacts, so that it can be opened on
        another machine: to a folder, or to a file whose name ends in ``.zip``.
    data
        Also write the data behind all figures and tables to this folder, as CSV and, with pyarrow,
        as Parquet.
    png
        Also write pictures of the figures to this folder, drawn by Chromium or Google Chrome.

    Returns
    -------
    ReportResult
        The page, and the lines or files that could not be read.

    Raises
    ------
    UserError
        The folder holds nothing to show or several studies, something cannot be written, or an
        output exists that perfkit did not write. Nothing is lost then.

    Examples
    --------
    >>> perfkit.render_report("perfkit-results/tune-af3-ubiquitin").page  # doctest: +SKIP
    PosixPath('perfkit-results/tune-af3-ubiquitin/report.html')
    """
    outputs = ReportOutputs(*(None if one is None else Path(one) for one in (bundle, data, png)))
    browser = outputs.check()
    with paused_collection():
        source = read_source(Path(folder), study)
        document = source.page(source.folder)
    page = source.folder / source.page_name if html is None else Path(html)
    write_report(page, document)
    remarks = write_outputs(source, document, outputs, browser)
    return _result(page, source, outputs, remarks)


def export_results(
    folder: Path, study: str | None, page: Path, outputs: ReportOutputs, browser: Browser | None
) -> ReportResult:
    """Write what is asked for in addition to the page that a study has just left.

    Parameters
    ----------
    folder
        Folder of the study.
    study
        Digest of the study.
    page
        Its page.
    outputs
        What to write.
    browser
        Browser that draws the pictures, from :meth:`ReportOutputs.check`.
    """
    if outputs == ReportOutputs():
        return ReportResult(page)
    with paused_collection():
        source = read_source(folder, study)
        document = source.page(folder)
    remarks = write_outputs(source, document, outputs, browser)
    return _result(page, source, outputs, remarks)


def _result(
    page: Path, source: ReportSource, outputs: ReportOutputs, remarks: Sequence[str]
) -> ReportResult:
    return ReportResult(
        page, source.skipped, outputs.bundle, outputs.data, outputs.png, tuple(remarks)
    )


def write_outputs(
    source: ReportSource, document: str, outputs: ReportOutputs, browser: Browser | None
) -> list[str]:
    """Write what is asked for in addition to a page.

    Parameters
    ----------
    source
        What the page shows.
    document
        HTML of the page.
    outputs
        What to write.
    browser
        Browser that draws the pictures; None without pictures.

    Returns
    -------
    list of str
        One sentence for each part that is missing.
    """
    remarks: list[str] = []
    if outputs.bundle is not None:
        # In a bundle, the preset lies next to the page.
        content = BundleContent(
            source.page_name, source.page(Path()), source.records, source.folder, source.files
        )
        remarks += write_bundle(outputs.bundle, content)
    if outputs.data is not None:
        missing = write_data(outputs.data, source.tables(), parquet=can_write_parquet())
        remarks += [missing] if missing else []
    if outputs.png is not None and browser is not None:
        drawn = pictures_of(document, browser)
        write_pictures(outputs.png, drawn)
        remarks += [] if drawn else ["the page has no figures, so that there are no pictures"]
    return remarks


def page_of_records(
    records: Sequence[Record],
    preset: Path | None,
    skipped: Sequence[str] = (),
    jaxlibs: Sequence[JaxlibComparison] = (),
    notes: StudyNotes | None = None,
) -> str:
    """The page of stored records as HTML.

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
    return stored_study(records, jaxlibs, notes).page(preset, skipped)
