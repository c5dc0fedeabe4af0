"""The page of a profile: the limit of every module, figures, and links to all artifacts."""

from __future__ import annotations

from pathlib import Path

from perfkit.records.schema import Record
from perfkit.report import facts
from perfkit.report.page import PageContent, PageLink, PageSection, render_page
from perfkit.report.profile.sections import observed_sections
from perfkit.report.profile.summary import profile_summary
from perfkit.units import bytes_text


def profile_page(record: Record, folder: Path) -> str:
    """Render the page of a profile as an HTML document. Only the artifacts are separate files.

    Parameters
    ----------
    record
        Record of a profiled trial.
    folder
        Folder of the page; the paths of artifacts in the record are relative to it.
    """
    workload = record.workload
    missing = (
        f"{name}: {observation.missing}"
        for name, observation in record.observations.items()
        if observation.missing
    )
    return render_page(
        PageContent(
            title=f"profile of {workload.name} ({workload.size}) with {workload.model}",
            subtitle=f"{record.created[:16].replace('T', ' ')} UTC, "
            f"configuration {record.configuration.label}, outcome {record.outcome.value}",
            production=tuple(profile_summary(record)),
            notices=facts.notices([record]),
            warnings=(*facts.warnings([record]), *missing),
            facts=(
                facts.workload_facts([record]),
                facts.machine_facts([record]),
                facts.version_facts([record]),
            ),
            sections=(
                *observed_sections(record),
                _files_section(record, folder),
            ),
        )
    )


def _files_section(record: Record, folder: Path) -> PageSection:
    links = tuple(
        PageLink(name, path, _size(folder / path)) for name, path in record.artifacts.items()
    )
    return PageSection("Files", links=links)


def _size(path: Path) -> str:
    try:
        return bytes_text(path.stat().st_size)
    except (OSError, ValueError):
        return "missing"
