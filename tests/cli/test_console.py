"""Text from files is printed, but cannot control the terminal."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from perfkit.cli.console import Console, cell, guard_sentence
from perfkit.records.findings import GuardRecord
from perfkit.records.schema import Outcome
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.goal import make_goal
from tests.support.confirmations import TWOFOLD, confirmed
from tests.support.records_factory import make_record

HOSTILE = "\x1b[2J\x1b]0;title\x07name\nperfkit: all is well\u202e"
SHOWN = "\\x1b[2J\\x1b]0;title\\x07name\\nperfkit: all is well\\u202e"


def test_a_line_stays_one_line_of_visible_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Console().line(f"af3: {HOSTILE}")
    assert capsys.readouterr().out == f"af3: {SHOWN}\n"


def test_cells_show_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row(cell("\x1b[2Jred\u202e"))
    Console().rich.print(table)
    assert "│ \\x1b[2Jred\\u202e │" in capsys.readouterr().out


def test_control_characters_are_escaped_even_in_cells_that_were_not_made_safe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table("\x9b2J")
    table.add_row(Text("\x1b[2Jred\u202e"))
    Console().rich.print(table)
    assert not {"\x1b", "\x9b", "\u202e"} & set(capsys.readouterr().out)


def test_a_trial_is_shown_in_a_log_only_while_it_takes_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Console().trial("stock") as show:
        show("compile")
    assert capsys.readouterr().out == ""

    printed = ""
    with Console().trial("stock", silence_s=0.01) as show:
        show("compile")
        end_s = time.monotonic() + 60.0
        while "stage compile\n" not in printed and time.monotonic() < end_s:
            time.sleep(0.01)
            printed += capsys.readouterr().out
    assert re.search(r"^  after [^:\n]+: stock, stage compile$", printed, re.MULTILINE)


def test_a_recommendation_shows_goal_front_and_choice(capsys: pytest.CaptureFixture[str]) -> None:
    loose = confirmed({"a": "1"}, TWOFOLD, stock_bytes=2000, peak_rss_bytes=3000)
    strict = confirmed(
        {"b": "1"}, [*TWOFOLD] * 2, stock_bytes=2000, peak_rss_bytes=3000, agreement="float32"
    )
    found = recommend([*loose, *strict], make_goal("memory", slack=0, pareto=True))
    Console().recommendation(found, [])
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert "objective: memory, within 0 % of the fastest time" in lines
    # Stock is what they are compared with.
    assert "2 configurations looked at" in lines
    _, front = shown.split("front of time and memory:\n")
    # a=1 is as good as b=1, but not as strict; stock is slower and needs less memory.
    assert [line.split("│")[1].strip() for line in front.splitlines() if "│" in line] == [
        "b=1",
        "stock",
    ]
    assert lines[-1].endswith(
        "Equally good: a=1. This one is chosen because its agreement class is stricter."
    )


def test_a_record_ends_with_its_notices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    label = "below production fidelity (steps 4 of 200): a measurement"
    record = make_record(outcome=Outcome.CRASHED, reason=HOSTILE, notices=["one", label])
    record = record.model_copy(update={"artifacts": {"x_model.cif": "seed-1_sample-0/x_model.cif"}})
    Console().record(record, Path("out"))
    lines = capsys.readouterr().out.splitlines()
    assert f"outcome crashed: {SHOWN}; configuration stock" in lines
    assert lines[-3:] == [
        "  x_model.cif: out/seed-1_sample-0/x_model.cif",
        "note: one",
        f"note: {label}",
    ]


def test_a_guard_says_what_it_did_and_what_its_program_means() -> None:
    lifted = GuardRecord(mode="lift", lifted=3, zeroed=0, guarded_equations=2)
    assert guard_sentence(lifted) == (
        "3 operands lifted and 0 differences zeroed, 2 operations guarded"
    )
    nothing = guard_sentence(lifted.model_copy(update={"lifted": 0}))
    assert "differs from the unguarded one by chaos, not by an error" in nothing
    alone = GuardRecord(mode="lift", lifted=0, zeroed=0, left_alone=1)
    assert guard_sentence(alone) == "nothing can need lifting: program left alone"
    # A function that runs without the guard may need it.
    unguarded = alone.model_copy(update={"unguarded_functions": {"step": "no rule"}})
    assert guard_sentence(unguarded).endswith("0 operations guarded; not guarded: step")
