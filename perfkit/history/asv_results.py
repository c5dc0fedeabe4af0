"""What `asv run` keeps, as snapshots."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfkit.errors import UserError
from perfkit.history.asv_file import (
    BENCHMARKS_FILE,
    Described,
    Measured,
    ResultFile,
    read_described,
    read_file,
)
from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples

DEFAULT_RESULTS = Path(".asv/results")
"""Where this repository's asv.conf.json has them kept."""

JAXLIB = "itself.Setting.track_jaxlib"
"""The benchmark that keeps the version of jaxlib among the results."""

BATCHES = 16
"""Groups that the samples of one benchmark are divided into."""

MOST_JAXLIB = 1e6
"""Larger numbers are no versions, see :func:`jaxlib_number`."""

KINDS = {
    "seconds": Kind.TIME,
    "bytes": Kind.MEMORY,
    "relative distance": Kind.ANSWER,
    "lifted operands": Kind.ANSWER,
    "misses": Kind.ANSWER,
    "ratio": Kind.OTHER,
}
"""What the units of the benchmarks say of them; what is not listed is shown and never judged."""


@dataclass(frozen=True)
class AsvResult:
    """One result file: a commit on a machine in an environment.

    Attributes
    ----------
    commit
        Full hash.
    date_ms
        Of the commit, milliseconds since 1970.
    machine, environment
        Names that asv gave them.
    snapshot
        What was measured.
    """

    commit: str
    date_ms: int
    machine: str
    environment: str
    snapshot: Snapshot


@dataclass(frozen=True)
class AsvReading:
    """Results, oldest commit first, and a sentence for each thing that could not be read."""

    results: tuple[AsvResult, ...]
    skipped: tuple[str, ...]


def jaxlib_number(version: str) -> float:
    """A version of jaxlib as a number that grows with it: ``0.12.3.4`` is 12.0304.

    Raises
    ------
    ValueError
        The version does not begin with numbers.
    """
    major, minor, *rest = (int(part) for part in version.split(".")[:4])
    patch, build = (*rest, 0, 0)[:2]
    return 1000 * major + minor + patch / 100 + build / 10_000


def jaxlib_version(number: float) -> str:
    """The version that :func:`jaxlib_number` made a number of, a last zero left out."""
    whole, rest = divmod(round(number * 10_000), 10_000)
    (major, minor), (patch, build) = divmod(whole, 1000), divmod(rest, 100)
    return f"{major}.{minor}.{patch}" + (f".{build}" if build else "")


def is_results_folder(folder: Path) -> bool:
    """Whether asv keeps its results in ``folder``."""
    return (folder / BENCHMARKS_FILE).is_file() or any(folder.glob("*/machine.json"))


def read_results(folder: Path, *, judged: bool = False) -> AsvReading:
    """Every result below asv's results folder; files that cannot be read are skipped.

    Parameters
    ----------
    folder
        asv's results folder.
    judged
        Whether the units are needed: results without any can be shown, but not judged.

    Raises
    ------
    UserError
        The folder does not exist, holds no results that can be read, or (if judged) no units.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} with asv results: 'asv run' makes them")
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name != "machine.json"]
    if not paths:
        raise UserError(f"{folder} holds no asv results yet: 'asv run' makes them")
    try:
        described, skipped = read_described(folder / BENCHMARKS_FILE)
    except UserError as error:
        if judged:
            raise
        described, skipped = {}, [str(error)]
    found = []
    for path in paths:
        try:
            found.append(_result(read_file(path), described))
        except UserError as error:
            skipped.append(f"{error}; skipped")
    if not found:
        raise UserError(f"{folder} holds no asv results that can be read: {skipped[-1]}")
    found.sort(key=lambda result: result.date_ms)
    return AsvReading(tuple(found), tuple(skipped))


def read_result(path: Path) -> AsvReading:
    """One result file, with units from the ``benchmarks.json`` of its results folder.

    Raises
    ------
    UserError
        It cannot be read as one, or no units are known.
    """
    file = read_file(path)
    described, skipped = read_described(path.parent.parent / BENCHMARKS_FILE)
    return AsvReading((_result(file, described),), tuple(skipped))


def results_of_commit(folder: Path, name: str) -> AsvReading:
    """The results of a commit, one for each machine and environment.

    Parameters
    ----------
    folder
        asv's results folder.
    name
        A hash or the beginning of one, or any name that git knows in the current folder.

    Raises
    ------
    UserError
        There are none, or the beginning is that of several commits.
    """
    wanted = _git_hash(name) or name.lower()
    reading = read_results(folder, judged=True)
    found = [one for one in reading.results if one.commit.startswith(wanted)]
    commits = sorted({one.commit[:8] for one in found})
    if len(commits) > 1:
        raise UserError(f"{name!r} is the beginning of several commits: {', '.join(commits)}")
    if not found:
        known = dict.fromkeys(one.commit[:8] for one in reading.results)
        raise UserError(
            f"{name!r} is neither a folder of records, a result file, nor a commit with results "
            f"in {folder} (those are {', '.join(known)})"
        )
    return AsvReading(tuple(found), reading.skipped)


def _git_hash(name: str) -> str | None:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None


def _result(file: ResultFile, described: Mapping[str, Described]) -> AsvResult:
    place = ", ".join(str(file.params.get(name) or "unknown") for name in ("cpu", "num_cpu"))
    entries = {
        entry.name: entry
        for name, measured in sorted(file.results.items())
        for entry in _entries(name, measured, described.get(name), place)
    }
    return AsvResult(
        commit=file.commit_hash,
        date_ms=file.date,
        machine=str(file.params["machine"]),
        environment=file.env_name,
        # All benchmarks of asv belong together: what is missing in one commit was lost there.
        snapshot=Snapshot(file.commit_hash[:8], _setting(file, entries), entries, frozenset([""])),
    )


def _setting(file: ResultFile, entries: Mapping[str, Entry]) -> dict[str, str]:
    names = ("machine", "cpu", "num_cpu", "os")
    setting = {name: str(file.params.get(name) or "") for name in names}
    setting |= {"environment": file.env_name, "python": str(file.params.get("python") or "")}
    jaxlib = entries.get(JAXLIB)
    if jaxlib is not None and jaxlib.value is not None and 0 <= jaxlib.value < MOST_JAXLIB:
        setting["jaxlib"] = jaxlib_version(jaxlib.value)
    return {name: value for name, value in setting.items() if value}


def _entries(
    benchmark: str, measured: Measured, described: Described | None, place: str
) -> Iterator[Entry]:
    unit = "" if described is None else described.unit
    for number, values in enumerate(itertools.product(*measured.params)):
        chosen = f"({', '.join(text.strip("'") for text in values)})" if values else ""
        name = f"{benchmark}{chosen}"
        kind = KINDS.get(unit, Kind.OTHER)
        version = measured.version or ""
        # A benchmark that is no longer described was taken away on purpose.
        essential = described is not None
        samples = _at(measured.samples, number)
        if samples:
            yield entry_of_samples(
                name,
                kind,
                unit,
                _batches(samples),
                version=version,
                essential=essential,
                place=place,
            )
            continue
        value = _at(measured.result, number)
        yield Entry(
            name,
            kind,
            unit,
            value,
            low=_at(measured.stats_ci_99_a, number),
            high=_at(measured.stats_ci_99_b, number),
            version=version,
            reason="the benchmark failed" if value is None else "",
            essential=essential,
            place=place,
        )


def _batches(samples: Sequence[float]) -> list[list[float]]:
    """The samples in at most :data:`BATCHES` groups of neighbours.

    asv keeps the repeats of all its processes in one list, in order, and not where one process
    ends. Neighbours are alike for many reasons, so that groups of them are what can count as
    independent (batch means: A. Law, "Simulation Modeling and Analysis", section 9.5).
    """
    size = -(-len(samples) // BATCHES)
    return [list(samples[first : first + size]) for first in range(0, len(samples), size)]


def _at[Value](column: list[Value | None] | None, number: int) -> Value | None:
    return None if column is None else column[number]
