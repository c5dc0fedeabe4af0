"""A command alone and under a preset: what is measured, added and refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.scripts.exec_gain import Pair, Results, main
from benchmarks.scripts.exec_table import table
from perfkit.errors import UserError

PRESET = """\
model = "af3"
[knobs]
allocator = "glibc-keep"
"""

WRITES = "import sys, pathlib; (pathlib.Path(sys.argv[1]) / 'new').touch(exist_ok=False)"
"""A program that fails if its folder is not fresh."""

FAILS = "import sys; sys.stderr.write('no weights'); sys.exit(3)"


def _measure(folder: Path, *command: str, pairs: int = 1) -> Results:
    preset, out = folder / "preset.toml", folder / "results.json"
    preset.write_text(PRESET)
    options = ["--title", "writes", "--preset", str(preset), "--out", str(out)]
    assert main([*options, "--pairs", str(pairs), "--", *command]) == 0
    return Results.model_validate_json(out.read_bytes())


def test_pairs_are_added_to_those_of_a_former_call(tmp_path: Path) -> None:
    command = (sys.executable, "-c", WRITES, "{out}")
    before = _measure(tmp_path, *command)
    after = _measure(tmp_path, *command)
    assert len(after.pairs) == 2
    assert after.pairs[0] == before.pairs[0]
    assert after.first == before.first
    assert after.pairs[1].stock.sentences == ()
    assert any("allocator" in line for line in after.pairs[1].preset.sentences)
    assert after.first.sentences
    assert str(tmp_path) not in after.model_dump_json()


def test_pairs_of_another_command_are_refused(tmp_path: Path) -> None:
    _measure(tmp_path, sys.executable, "-c", "pass")
    with pytest.raises(UserError, match="holds another command or preset"):
        _measure(tmp_path, sys.executable, "-c", "print()")


def test_a_command_that_fails_ends_the_benchmark_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ended with code 3:\nno weights"):
        _measure(
            tmp_path, sys.executable, "-c", "import sys; sys.stderr.write('no weights'); exit(3)"
        )


def test_the_table_shows_medians_the_ratio_and_what_exec_said(tmp_path: Path) -> None:
    measured = _measure(tmp_path, sys.executable, "-c", "pass")
    one = measured.pairs[0]
    alone = [
        one.stock.model_copy(update={"wall_s": s, "peak_rss_bytes": 3e9}) for s in (20, 30, 50)
    ]
    fast = [
        one.preset.model_copy(update={"wall_s": s, "peak_rss_bytes": 2e9}) for s in (10, 15, 25)
    ]
    pairs = [Pair(stock=a, preset=b) for a, b in zip(alone, fast, strict=True)]
    shown = measured.model_copy(update={"pairs": pairs, "first": alone[1]})
    row, said = table([shown]).split("\n\n", 1)
    assert row.splitlines()[2] == (
        "| writes | 30.0 s (20.0 to 50.0) | 15.0 s (10.0 to 25.0) "
        "| 2.00 (no interval; 2.00 to 2.00, 3 pairs) | 30 s | 3.0 GB, 2.0 GB |"
    )
    assert "\nperfkit: allocator=glibc-keep: " in said
