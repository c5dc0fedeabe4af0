"""A Markdown table of what ``benchmarks.scripts.exec_gain`` has measured.

Usage::

    python -m benchmarks.scripts.exec_table reports/exec/*.json > reports/exec/exec.md
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scripts.exec_gain import Results, Run, read_results

HEAD = (
    "| command | alone | under the preset | times as fast | first run, alone and under the preset "
    "| peak memory, alone and under the preset |",
    "|---|---|---|---|---|---|",
)


def table(measured: Sequence[Results]) -> str:
    """The results as a Markdown table, and the commands' settings as ``perfkit exec`` reports them.

    Seconds are medians of whole commands with the smallest and the largest in brackets; memory is
    the largest of any run.
    """
    rows = [*HEAD, *(_row(results) for results in measured)]
    rows += ["", "What `perfkit exec` printed after the last run:"]
    for results in measured:
        rows += ["", f"{results.title}:", "", "```"]
        rows += [*_preset_runs(results)[-1].sentences, "```"]
    return "\n".join(rows) + "\n"


def _row(results: Results) -> str:
    alone, preset = _stock_runs(results), _preset_runs(results)
    found = results.ratio
    ends = "no interval" if found.ends is None else "{:.2f} to {:.2f}".format(*found.ends)
    cells = [
        results.title,
        _seconds(alone),
        _seconds(preset),
        f"{found.median:.2f} ({ends}, {found.count} pairs)",
        f"{results.first.stock.wall_s:.0f} s, {results.first.preset.wall_s:.0f} s",
        f"{_peak_gb(alone):.1f} GB, {_peak_gb(preset):.1f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def _stock_runs(results: Results) -> list[Run]:
    return [pair.stock for pair in results.pairs]


def _preset_runs(results: Results) -> list[Run]:
    return [pair.preset for pair in results.pairs]


def _seconds(runs: Sequence[Run]) -> str:
    walls = [run.wall_s for run in runs]
    return f"{statistics.median(walls):.1f} s ({min(walls):.1f} to {max(walls):.1f})"


def _peak_gb(runs: Sequence[Run]) -> float:
    return max(run.peak_rss_bytes for run in runs) / 1e9


def main(arguments: Sequence[str]) -> int:
    """Print the table of the files named."""
    print(table([read_results(Path(name)) for name in arguments]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
