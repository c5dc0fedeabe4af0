"""What a comparison of versions of jaxlib leaves in a folder, and how it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.records.schema import Record
from perfkit.records.store import read_folder
from perfkit.report.selection import predictions
from perfkit.tuning.versions.jaxlibs import JaxlibComparison, KnownAnswers, compare_jaxlibs

KNOWN_FILE = "known-answers.json"
"""File with the known answers of each version, in the folder of the records."""

VERSIONS_FOLDER = "jaxlibs"
"""Folder in that of a tuning with the records of its best configuration under each version."""

_KNOWN = TypeAdapter(dict[str, KnownAnswers])


def save_known_answers(folder: Path, known: Mapping[str, KnownAnswers]) -> None:
    """Save the known answers of each version next to the records.

    Raises
    ------
    NotWrittenError
        The file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({version: asdict(answers) for version, answers in known.items()}, indent=1)
    write_whole(folder / KNOWN_FILE, f"{content}\n", "known answers")


def comparisons_of(
    records: Sequence[Record], known: Mapping[str, KnownAnswers]
) -> tuple[JaxlibComparison, ...]:
    """The comparison of each workload in records; empty where they hold a single version."""
    found = (compare_jaxlibs(study.ranked, known) for study in predictions(records))
    return tuple(comparison for comparison in found if comparison is not None)


def stored_comparisons(folder: Path, records: Sequence[Record]) -> tuple[JaxlibComparison, ...]:
    """The comparisons that a sweep left in its folder, or a tuning in a folder below it.

    Parameters
    ----------
    folder
        Folder of the sweep or tuning.
    records
        Its records.

    Raises
    ------
    UserError
        A file of known answers is damaged.
    """
    if (folder / KNOWN_FILE).exists():
        return comparisons_of(records, _read_known_answers(folder))
    below = folder / VERSIONS_FOLDER
    if (below / KNOWN_FILE).exists():
        return comparisons_of(read_folder(below).records, _read_known_answers(below))
    return ()


def _read_known_answers(folder: Path) -> dict[str, KnownAnswers]:
    path = folder / KNOWN_FILE
    try:
        return _KNOWN.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path} cannot be read; delete it to do without") from error
