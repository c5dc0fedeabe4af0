"""Read the results of `asv run` as snapshots."""

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
"""Results folder that this repository's asv.conf.json names."""

JAXLIB = "itself.Setting.track_jaxlib"
"""Benchmark that records the version of jaxlib among the results."""

BATCHES = 16
"""Most groups that the samples of one benchmark are divided into."""

MOST_JAXLIB = 1e6
"""Larger numbers are not versions, see :func:`jaxlib_number`."""

KINDS = {
    "seconds": Kind.TIME,
    "bytes": Kind.MEMORY,
    "relative distance": Kind.ANSWER,
    "lifted operands": Kind.ANSWER,
    "misses": Kind.ANSWER,
    "ratio": Kind.OTHER,
}
"""Kind of quantity by the benchmark's unit. Other units are shown and never judged."""


@dataclass(frozen=True)
class AsvResult:
    """The results of a commit on one machine in one environment.

    Attributes
    ----------
    commit
        Full hash of the commit.
    date_ms
        Date of the commit, milliseconds since 1970.
    machine, environment
        asv's names of the machine and of the environment.
    snapshot
        The measurements.
    """

    commit: str
    date_ms: int
    machine: str
    environment: str
    snapshot: Snapshot


@dataclass(frozen=True)
class AsvReading:
    """Results that could be read, and warnings on those that could not.

    Attributes
    ----------
    results
        Results, oldest commit first.
    skipped
        One sentence per file or benchmark that could not be read.
    """

    results: tuple[AsvResult, ...]
    skipped: tuple[str, ...]


def jaxlib_number(version: str) -> float:
    """Encode a version of jaxlib as a number in the same order: ``0.12.3.4`` becomes 12.0304.

    Raises
    ------
    ValueError
        The version does not begin with numbers.
    """
    major, minor, *rest = (int(part) for part in version.split(".")[:4])
    patch, build = (*rest, 0, 0)[:2]
    return 1000 * major + minor + patch / 100 + build / 10_000


def jaxlib_version(number: float) -> str:
    """Decode the number of :func:`jaxlib_number`; a fourth component of 0 is left out."""
    whole, rest = divmod(round(number * 10_000), 10_000)
    (major, minor), (patch, build) = divmod(whole, 1000), divmod(rest, 100)
    return f"{major}.{minor}.{patch}" + (f".{build}" if build else "")


def is_results_folder(folder: Path) -> bool:
    """Whether ``folder`` is a results folder of asv."""
    return (folder / BENCHMARKS_FILE).is_file() or any(folder.glob("*/machine.json"))


def read_results(folder: Path, *, judged: bool = False) -> AsvReading:
    """Read every result below asv's results folder. Files that cannot be read are skipped.

    Parameters
    ----------
    folder
        asv's results folder.
    judged
        Whether the results are to be judged, which needs their units. Results without units can
        only be shown.

    Raises
    ------
    UserError
        The folder does not exist, it holds no result that can be read, or ``judged`` is set and
        the units are unknown.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} with asv results; create it with 'asv run'")
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name != "machine.json"]
    if not paths:
        raise UserError(f"{folder} holds no asv results yet; create some with 'asv run'")
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
        raise UserError(f"none of the asv results in {folder} can be read: {skipped[-1]}")
    found.sort(key=lambda result: result.date_ms)
    return AsvReading(tuple(found), tuple(skipped))


def read_result(path: Path) -> AsvReading:
    """Read one result file, with the units in the ``benchmarks.json`` of its results folder.

    Raises
    ------
    UserError
        The file cannot be read as a result file, or the units are unknown.
    """
    file = read_file(path)
    described, skipped = read_described(path.parent.parent / BENCHMARKS_FILE)
    return AsvReading((_result(file, described),), tuple(skipped))


def results_of_commit(folder: Path, name: str) -> AsvReading:
    """Read the results of a commit, one per machine and environment.

    Parameters
    ----------
    folder
        asv's results folder.
    name
        Hash of the commit, the beginning of its hash, or any name of a commit that git resolves
        in the current folder.

    Raises
    ------
    UserError
        There are no results of this commit, or several commits begin with ``name``.
    """
    wanted = _git_hash(name) or name.lower()
    reading = read_results(folder, judged=True)
    found = [result for result in reading.results if result.commit.startswith(wanted)]
    commits = sorted({result.commit[:8] for result in found})
    if len(commits) > 1:
        raise UserError(
            f"{name!r} is ambiguous: it is the beginning of the commits {', '.join(commits)}"
        )
    if not found:
        known = dict.fromkeys(result.commit[:8] for result in reading.results)
        raise UserError(
            f"{name!r} is neither a folder of records, nor a result file, nor a commit with "
            f"results in {folder}; the commits with results are {', '.join(known)}"
        )
    return AsvReading(tuple(found), reading.skipped)


def _git_hash(name: str) -> str | None:
    try:
        resolved = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return resolved.stdout.strip() or None


def _result(file: ResultFile, described: Mapping[str, Described]) -> AsvResult:
    hardware = ", ".join(str(file.params.get(name) or "unknown") for name in ("cpu", "num_cpu"))
    entries = {
        entry.name: entry
        for name, measured in sorted(file.results.items())
        for entry in _entries(name, measured, described.get(name), hardware)
    }
    return AsvResult(
        commit=file.commit_hash,
        date_ms=file.date,
        machine=str(file.params["machine"]),
        environment=file.env_name,
        # All benchmarks of asv have one subject: a benchmark missing from a commit was lost there.
        snapshot=Snapshot(file.commit_hash[:8], _metadata(file, entries), entries, frozenset([""])),
    )


def _metadata(file: ResultFile, entries: Mapping[str, Entry]) -> dict[str, str]:
    names = ("machine", "cpu", "num_cpu", "os")
    metadata = {name: str(file.params.get(name) or "") for name in names}
    metadata |= {"environment": file.env_name, "python": str(file.params.get("python") or "")}
    jaxlib = entries.get(JAXLIB)
    if jaxlib is not None and jaxlib.value is not None and 0 <= jaxlib.value < MOST_JAXLIB:
        metadata["jaxlib"] = jaxlib_version(jaxlib.value)
    return {name: value for name, value in metadata.items() if value}


def _entries(
    benchmark: str, measured: Measured, described: Described | None, hardware: str
) -> Iterator[Entry]:
    unit = "" if described is None else described.unit
    for number, values in enumerate(itertools.product(*measured.params)):
        chosen = f"({', '.join(text.strip("'") for text in values)})" if values else ""
        name = f"{benchmark}{chosen}"
        kind = KINDS.get(unit, Kind.OTHER)
        version = measured.version or ""
        # A benchmark that is no longer described was removed on purpose.
        required = described is not None
        samples = _at(measured.samples, number)
        if samples:
            yield entry_of_samples(
                name,
                kind,
                unit,
                _batches(samples),
                version=version,
                required=required,
                hardware=hardware,
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
            required=required,
            hardware=hardware,
        )


def _batches(samples: Sequence[float]) -> list[list[float]]:
    """Divide the samples into at most :data:`BATCHES` groups of neighbours.

    asv stores the repeats of all its processes in one ordered list, without the ends of the
    processes. Neighbouring repeats are correlated, so groups of neighbours count as the independent
    measurements (batch means: A. Law, "Simulation Modeling and Analysis", section 9.5).
    """
    size = -(-len(samples) // BATCHES)
    return [list(samples[first : first + size]) for first in range(0, len(samples), size)]


def _at[Value](column: list[Value | None] | None, number: int) -> Value | None:
    return None if column is None else column[number]
