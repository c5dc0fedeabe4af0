"""Reads what `asv run` keeps, through asv's own reader, as snapshots."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.errors import MissingDependencyError, UserError
from perfkit.history.snapshot import Entry, Kind, Snapshot, entry_of_samples

if TYPE_CHECKING:
    from asv.results import Results

DEFAULT_RESULTS = Path(".asv/results")
"""Where this repository's asv.conf.json has them kept."""

JAXLIB = "itself.Setting.track_jaxlib"
"""The benchmark that keeps the version of jaxlib among the results."""

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
    return (folder / "benchmarks.json").is_file() or any(folder.glob("*/machine.json"))


def read_results(folder: Path) -> list[AsvResult]:
    """Every result below asv's results folder, oldest commit first.

    Raises
    ------
    UserError
        The folder does not exist or holds no results.
    MissingDependencyError
        asv is not installed.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} with asv results: 'asv run' makes them")
    paths = [path for path in sorted(folder.glob("*/*.json")) if path.name != "machine.json"]
    found = [read_result(path) for path in paths]
    if not found:
        raise UserError(f"{folder} holds no asv results yet: 'asv run' makes them")
    return sorted(found, key=lambda result: result.date_ms)


def read_result(path: Path) -> AsvResult:
    """One result file, with units from the ``benchmarks.json`` of its results folder.

    Raises
    ------
    UserError
        It cannot be read as one.
    MissingDependencyError
        asv is not installed.
    """
    try:
        from asv import util
        from asv.results import Results
    except ImportError as error:
        raise MissingDependencyError("asv results need asv; install perfkit[dev]") from error
    try:
        result = Results.load(str(path))
        described = util.load_json(str(path.parent.parent / "benchmarks.json"))
    except (util.UserError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{path} is no result of asv that can be read: {error}") from error
    entries = {entry.name: entry for entry in _entries(result, described)}
    return AsvResult(
        commit=result.commit_hash,
        date_ms=int(result.date),
        machine=result.params["machine"],
        environment=result.env_name,
        snapshot=Snapshot(result.commit_hash[:8], _setting(result, entries), entries),
    )


def results_of_commit(folder: Path, name: str) -> list[AsvResult]:
    """The results of a commit, one a machine and environment.

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
    found = [one for one in read_results(folder) if one.commit.startswith(wanted)]
    commits = sorted({one.commit[:8] for one in found})
    if len(commits) > 1:
        raise UserError(f"{name!r} is the beginning of several commits: {', '.join(commits)}")
    if not found:
        known = dict.fromkeys(one.commit[:8] for one in read_results(folder))
        raise UserError(
            f"{name!r} is neither a folder of records, a result file, nor a commit with results "
            f"in {folder} (those are {', '.join(known)})"
        )
    return found


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


def _setting(result: Results, entries: Mapping[str, Entry]) -> dict[str, str]:
    told = {name: str(result.params.get(name, "")) for name in ("machine", "cpu", "num_cpu", "os")}
    told |= {"environment": result.env_name, "python": str(result.params.get("python", ""))}
    jaxlib = entries.get(JAXLIB)
    if jaxlib is not None and jaxlib.value is not None and jaxlib.measured:
        told["jaxlib"] = jaxlib_version(jaxlib.value)
    return {name: value for name, value in told.items() if value}


def _entries(result: Results, described: Mapping[str, Any]) -> Iterator[Entry]:
    for benchmark in sorted(result.get_all_result_keys()):
        params = result.get_result_params(benchmark)
        unit = described.get(benchmark, {}).get("unit", "")
        columns = (
            result.get_result_value(benchmark, params),
            result.get_result_stats(benchmark, params),
            result.get_result_samples(benchmark, params),
        )
        version = result.benchmark_version.get(benchmark) or ""
        for values, value, stats, samples in zip(
            itertools.product(*params), *columns, strict=False
        ):
            chosen = f"({', '.join(text.strip("'") for text in values)})" if values else ""
            yield _entry(f"{benchmark}{chosen}", unit, value, stats, samples, version)


def _entry(
    name: str,
    unit: str,
    value: float | None,
    stats: Mapping[str, float] | None,
    samples: list[float] | None,
    version: str,
) -> Entry:
    kind = KINDS.get(unit, Kind.OTHER)
    if samples:
        return entry_of_samples(name, kind, unit, [samples], version)
    summary = stats or {}
    return Entry(
        name,
        kind,
        unit,
        value,
        low=summary.get("ci_99_a"),
        high=summary.get("ci_99_b"),
        version=version,
        reason="the benchmark failed" if value is None else "",
    )
