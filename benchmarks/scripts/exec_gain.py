"""An unmodified command alone and under ``perfkit exec --preset``, in turns.

Usage::

    python -m benchmarks.scripts.exec_gain --preset preset.toml --pairs 6 --out results.json \
        -- python run_alphafold.py --json_path=input.json --output_dir={out} ...

``{out}`` becomes a fresh folder per run. The command runs once under the preset before the pairs,
so that files are in the page cache and ``exec`` has compiled its programs; that run is reported
apart. The file holds the seconds of the whole command, its largest resident set, and the summary of
``exec``. A command that fails ends the benchmark; a second call with the same ``--out`` adds pairs.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from perfkit.errors import UserError
from perfkit.files import short_digest, write_whole
from perfkit.records.base import FrozenModel
from perfkit.records.findings import MachineRecord
from perfkit.records.machine import fingerprint
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import Interval

OUT = "{out}"

KIB = 1024
"""Unit of ``ru_maxrss`` on Linux, in bytes."""


class Run(FrozenModel):
    """A finished command.

    Attributes
    ----------
    wall_s
        Seconds from start to end.
    peak_rss_bytes
        Largest resident set of its largest process.
    sentences
        Lines of ``perfkit exec`` on standard error; empty without it.
    """

    wall_s: float
    peak_rss_bytes: int
    sentences: tuple[str, ...]


class Pair(FrozenModel):
    """The command alone and under the preset, one directly after the other."""

    stock: Run
    preset: Run


class Results(FrozenModel):
    """Everything that the file holds.

    Attributes
    ----------
    title
        What the command is, in the words of the person who measured it.
    machine
        Fingerprint of the machine.
    command
        Digest of the command and of the preset's content: pairs of others are not added.
    first
        First run under the preset, with nothing compiled before. The command alone compiles in
        every run.
    pairs
        The pairs in order of measurement; every other one begins with the preset.
    """

    title: str
    machine: MachineRecord
    command: str
    first: Run
    pairs: tuple[Pair, ...] = ()

    @property
    def sides(self) -> tuple[Sequence[Run], Sequence[Run]]:
        """The runs alone, and those under the preset."""
        return [pair.stock for pair in self.pairs], [pair.preset for pair in self.pairs]

    @property
    def ratio(self) -> Interval:
        """Seconds alone over seconds under the preset."""
        return ratio(self.pairs)


def ratio(pairs: Sequence[Pair]) -> Interval:
    """Seconds alone over seconds under the preset; at least one pair."""
    return sequential_ratio([math.log(pair.stock.wall_s / pair.preset.wall_s) for pair in pairs])


def median_s(runs: Sequence[Run]) -> float:
    """Median of the seconds of runs."""
    return statistics.median(one.wall_s for one in runs)


def peak_gb(runs: Sequence[Run]) -> float:
    """Largest resident set of any of the runs, in GB."""
    return max(one.peak_rss_bytes for one in runs) / 1e9


def run(command: Sequence[str]) -> Run:
    """Run a command with a fresh folder for its results.

    Raises
    ------
    UserError
        The command does not exist or failed.
    """
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile() as errors:
        given = [argument.replace(OUT, out) for argument in command]
        begin_s = time.perf_counter()
        try:
            process = subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=errors)
        except OSError as error:
            raise UserError(f"{given[0]} did not start: {error.strerror}") from error
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin_s
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = errors.read().decode(errors="replace").splitlines()
    if process.returncode != 0:
        ending = "\n".join(lines[-10:])
        raise UserError(f"{given[0]} ended with code {process.returncode}:\n{ending}")
    sentences = tuple(line for line in lines if line.startswith("perfkit: "))
    return Run(wall_s=wall_s, peak_rss_bytes=usage.ru_maxrss * KIB, sentences=sentences)


def run_pair(command: Sequence[str], preset: Path, *, preset_first: bool) -> Pair:
    """Run the command both ways, one after the other."""
    if preset_first:
        tuned = run_under(preset, command)
        return Pair(stock=run(command), preset=tuned)
    return Pair(stock=run(command), preset=run_under(preset, command))


def run_under(preset: Path, command: Sequence[str]) -> Run:
    """Run the command under ``perfkit exec``; its sentences name the preset without its path."""
    under = [sys.executable, "-m", "perfkit", "exec", "--preset", str(preset), "--"]
    found = run([*under, *command])
    sentences = tuple(line.replace(str(preset), preset.name) for line in found.sentences)
    return found.model_copy(update={"sentences": sentences})


def summary(results: Results) -> str:
    """The medians and the ratio, as lines of text."""
    rows = [results.title]
    for name, runs in zip(("stock", "preset"), results.sides, strict=True):
        rows.append(
            f"{name}: median {median_s(runs):.1f} s of {len(runs)}, peak {peak_gb(runs):.2f} GB"
        )
    found = results.ratio
    ends = "no interval" if found.ends is None else "[{:.2f}, {:.2f}]".format(*found.ends)
    rows.append(f"ratio: {found.median:.2f} {ends}, {found.count} pairs")
    return "\n".join(rows)


def read_results(file: Path) -> Results:
    """Read a file of this benchmark.

    Raises
    ------
    UserError
        The file holds no results.
    """
    try:
        return Results.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise UserError(f"{file} holds no results of this benchmark") from error


def load(file: Path, digest: str) -> Results:
    """The results of a former call.

    Raises
    ------
    UserError
        The file holds no results, or those of another command or preset.
    """
    results = read_results(file)
    if results.command != digest:
        raise UserError(f"{file} holds another command or preset: give another --out")
    return results


def main(arguments: Sequence[str]) -> int:
    """Measure pairs, and write the file after each of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--title", required=True, help="what the command is, for the reader")
    parser.add_argument("--preset", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    digest = short_digest([given.command, given.preset.read_text()])
    if given.out.exists():
        results = load(given.out, digest)
    else:
        first = run_under(given.preset, given.command)
        machine = fingerprint()
        results = Results(title=given.title, machine=machine, command=digest, first=first)
    for _ in range(given.pairs):
        number = len(results.pairs)
        pair = run_pair(given.command, given.preset, preset_first=number % 2 == 1)
        results = results.model_copy(update={"pairs": (*results.pairs, pair)})
        write_whole(given.out, results.model_dump_json(indent=1) + "\n", "results")
        print(f"pair {number + 1}: {ratio([pair]).median:.2f}", flush=True)
    print(summary(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
