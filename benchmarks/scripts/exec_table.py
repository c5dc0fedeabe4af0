"""A Markdown table of what ``benchmarks.scripts.exec_gain`` has measured.

Usage::

    python -m benchmarks.scripts.exec_table reports/exec/*.json > reports/exec/exec.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scripts.exec_gain import Results, Run, median_s, peak_gb, ratio, read_results

HEAD = (
    "| command | alone | under the preset | times as fast | first run under the preset "
    "| peak memory, alone and under the preset |",
    "|---|---|---|---|---|---|",
)


def table(measured: Sequence[Results]) -> str:
    """The results as a Markdown table, and the commands' settings as ``perfkit exec`` reports them.

    Seconds are medians of whole commands with the smallest and the largest in brackets. The ratio
    has its 95 % interval in brackets; with too few pairs for one, their smallest and largest ratio.
    Memory is the largest of any run.
    """
    rows = [*HEAD, *(_row(results) for results in measured)]
    rows += ["", "What `perfkit exec` printed after the last run:"]
    for results in measured:
        rows += ["", f"{results.title}:", "", "```"]
        rows += [*results.pairs[-1].preset.sentences, "```"]
    return "\n".join(rows) + "\n"


def _row(results: Results) -> str:
    alone, preset = results.sides
    found = results.ratio
    if found.ends is None:
        each = [ratio([pair]).median for pair in results.pairs]
        ends = f"no interval; {min(each):.2f} to {max(each):.2f}"
    else:
        ends = "{:.2f} to {:.2f}".format(*found.ends)
    cells = [
        results.title,
        _seconds(alone),
        _seconds(preset),
        f"{found.median:.2f} ({ends}, {found.count} pairs)",
        f"{results.first.wall_s:.0f} s",
        f"{peak_gb(alone):.1f} GB, {peak_gb(preset):.1f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(runs: Sequence[Run]) -> str:
    walls = [run.wall_s for run in runs]
    return f"{median_s(runs):.1f} s ({min(walls):.1f} to {max(walls):.1f})"


def main(arguments: Sequence[str]) -> int:
    """Print the table of the files named."""
    print(table([read_results(Path(name)) for name in arguments]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
