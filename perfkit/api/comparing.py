"""What changed between two folders of records, or between two results of asv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.history.asv_results import (
    DEFAULT_RESULTS,
    AsvReading,
    AsvResult,
    read_result,
    results_of_commit,
)
from perfkit.history.comparison import Comparison, compare_snapshots
from perfkit.history.record_snapshot import snapshots_of_records
from perfkit.history.snapshot import Snapshot
from perfkit.history.verdicts import FACTOR
from perfkit.records.store import PATTERN, read_folder

type Pair = tuple[Snapshot, Snapshot]
"""The old and the new measurements of one machine."""


@dataclass(frozen=True, repr=False)
class CompareResult:
    """Old and new measurements, compared.

    Attributes
    ----------
    comparisons
        One comparison per machine and environment.
    skipped
        One sentence for each line or file that could not be read.
    """

    comparisons: tuple[Comparison, ...]
    skipped: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether anything is slower, larger, lost or failed, or gives another answer."""
        return any(comparison.regressed for comparison in self.comparisons)

    def __repr__(self) -> str:
        return "\n".join(
            f"{each.old.label} -> {each.new.label}: {each.sentence()}" for each in self.comparisons
        )


def compare(
    old: Path | str,
    new: Path | str,
    *,
    factor: float = FACTOR,
    results: Path | str = DEFAULT_RESULTS,
    machine: str | None = None,
) -> CompareResult:
    """Compare two folders of records or two results of asv, as ``perfkit compare`` does.

    Parameters
    ----------
    old, new
        Two folders of records, or two results of asv: result files or commits.
    factor
        Smallest ratio of times or memory that counts as a change; at least 1.
    results
        Results folder of asv, where commits are compared.
    machine
        Name that asv gave a machine, to compare only its results.

    Returns
    -------
    CompareResult
        The comparisons, and the lines or files that could not be read.

    Raises
    ------
    UserError
        The two are of different kinds, cannot be read, or were measured on several machines.

    Examples
    --------
    >>> perfkit.compare("before", "after").regressed  # doctest: +SKIP
    False
    """
    if not factor >= 1:
        raise UserError(f"--factor takes 1 or more, not {factor:g}")
    pairs, skipped = _pairs(str(old), str(new), Path(results), machine)
    comparisons = (compare_snapshots(before, after, factor) for before, after in pairs)
    return CompareResult(tuple(comparisons), tuple(dict.fromkeys(skipped)))


def write_compare_page(
    result: CompareResult, old: Path | str, new: Path | str, html: Path | str
) -> bool:
    """Write the page of a comparison, as ``perfkit compare --html`` does.

    Parameters
    ----------
    result
        The comparison of ``old`` and ``new``.
    old, new
        What was compared, see :func:`compare`.
    html
        File to write.

    Returns
    -------
    bool
        Whether the page shows any workload that both sides measured. It may, even if no
        configuration was measured on both.

    Raises
    ------
    UserError
        The page cannot be written.
    """
    from perfkit.report.compare_page import compare_page
    from perfkit.report.figures.compared.sides import sides_info
    from perfkit.report.writing import write_report

    before, after = (
        read_folder(Path(text)).records if _holds_records(str(text)) else () for text in (old, new)
    )
    page = compare_page(result.comparisons, before, after, result.skipped)
    write_report(Path(html), page)
    in_common = any(comparison.common for comparison in result.comparisons)
    return in_common or sides_info(before, after) is not None


def _pairs(old: str, new: str, results: Path, machine: str | None) -> tuple[list[Pair], list[str]]:
    """The pairs to compare, and one sentence for each line or file that could not be read."""
    folders = [_holds_records(text) for text in (old, new)]
    for text, holds in zip((old, new), folders, strict=True):
        if not holds and Path(text).is_dir():
            raise UserError(
                f"{text} holds no records; for results of asv, give a commit or a result file"
            )
    if all(folders):
        first, second = (read_folder(Path(text)) for text in (old, new))
        skipped = [
            f"{text}: {one.sentence()}"
            for text, reading in ((old, first), (new, second))
            for one in reading.skipped
        ]
        return [snapshots_of_records((old, first), (new, second))], skipped
    if any(folders):
        raise UserError("records cannot be compared with asv results: give two of the same kind")
    readings = [_asv_reading(text, results) for text in (old, new)]
    before, after = (
        _of_machine(text, reading.results, machine)
        for text, reading in zip((old, new), readings, strict=True)
    )
    return _same_machines(old, new, before, after), [
        sentence for reading in readings for sentence in reading.skipped
    ]


def _same_machines(
    old: str, new: str, before: Sequence[AsvResult], after: Sequence[AsvResult]
) -> list[Pair]:
    """Results of the same machine and environment, or the only result of each side."""
    same = [
        (one.snapshot, other.snapshot)
        for one in before
        for other in after
        if (one.machine, one.environment) == (other.machine, other.environment)
    ]
    if same:
        return same
    if len(before) == len(after) == 1:
        return [(before[0].snapshot, after[0].snapshot)]
    raise UserError(
        f"{old} was measured on {_machines(before)}, {new} on {_machines(after)}: to compare "
        "different machines, give one result file of each"
    )


def _holds_records(text: str) -> bool:
    try:
        return Path(text).is_dir() and any(Path(text).glob(PATTERN))
    except (OSError, ValueError) as error:
        raise UserError(f"{text!r} cannot be read ({error})") from error


def _asv_reading(text: str, results: Path) -> AsvReading:
    path = Path(text)
    return read_result(path) if path.is_file() else results_of_commit(results, text)


def _of_machine(text: str, found: Sequence[AsvResult], machine: str | None) -> Sequence[AsvResult]:
    chosen = [one for one in found if machine in (None, one.machine)]
    if not chosen:
        raise UserError(f"{text} has no results of machine {machine!r}, only of {_machines(found)}")
    return chosen


def _machines(results: Sequence[AsvResult]) -> str:
    return ", ".join(dict.fromkeys(f"{one.machine} ({one.environment})" for one in results))
