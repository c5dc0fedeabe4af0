"""``perfkit exec --guard`` counts in every process, or names the process it cannot count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfkit.cli.commands import exec_command
from perfkit.errors import UserError
from perfkit.foreign.guard_report import guard_report
from perfkit.foreign.journal import Journal
from perfkit.foreign.process_watch import JaxProcess
from perfkit.foreign.reading import read_journals

PROGRAM = """
import multiprocessing, os, signal, subprocess, sys

def work(calls=1):
    import jax, jax.numpy as jnp
    near = jnp.asarray([1.0, 1.0000001])
    run = jax.jit(lambda a: jnp.sqrt(a - near))
    return [run(jnp.ones(2)).tolist() for _ in range(calls)][-1]

def pool(kind):
    with multiprocessing.get_context(kind).Pool(2) as workers:
        print(workers.map(work, [1, 1, 1]))

def forked():
    child = os.fork()
    if not child:
        work(2)
        os._exit(0)
    os.waitpid(child, 0)

def exits_at_once():
    work(3)
    os._exit(5)

def killed():
    work(3)
    os.kill(os.getpid(), signal.SIGKILL)

def terminated():
    work(3)
    os.kill(os.getpid(), signal.SIGTERM)

def escapes():
    for start in ([sys.executable, "-I"], ["env", "-i", sys.executable]):
        subprocess.run([*start, __file__, "work"])

if __name__ == "__main__":
    name, _, argument = sys.argv[1].partition("-")
    globals()[name](*filter(None, [argument]))
"""


def run_guarded(tmp_path: Path, how: str) -> tuple[int, dict[str, Any]]:
    program, report = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(PROGRAM, encoding="utf-8")
    code = exec_command.main(
        ["--guard", "--guard-report", str(report), "--", sys.executable, str(program), how]
    )
    return code, json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("how", "code", "processes", "lifted"),
    [
        ("pool-fork", 0, 2, 3),
        ("pool-forkserver", 0, 2, 3),
        ("pool-spawn", 0, 2, 3),
        ("forked", 0, 1, 2),
        ("exits_at_once", 5, 1, 3),
    ],
)
def test_every_process_is_counted(
    tmp_path: Path, how: str, code: int, processes: int, lifted: int
) -> None:
    ended, report = run_guarded(tmp_path, how)
    assert ended == code
    # A worker of a pool may get no work.
    assert 1 <= report["processes"] <= processes
    assert report["lifted"] == lifted
    assert [site["lifted"] for site in report["sites"]] == [lifted]
    assert report["not_counted"] == []


@pytest.mark.parametrize(("how", "code"), [("killed", 128 + 9), ("terminated", 128 + 15)])
def test_a_process_that_a_signal_ends_is_counted_or_reported_as_incomplete(
    tmp_path: Path, how: str, code: int
) -> None:
    ended, report = run_guarded(tmp_path, how)
    assert ended == code
    assert report["processes"] == 1
    missing = 3 - report["lifted"]
    assert 0 <= missing <= 1
    sentences = "".join(report["not_counted"])
    expected = "was ended by a signal or crashed: 2 of its 3 guarded calls"
    assert missing == 0 or expected in sentences


def test_processes_that_the_guard_does_not_reach_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, report = run_guarded(tmp_path, "escapes")
    assert report["processes"] == 0
    isolated, emptied = report["not_counted"]
    assert f"{sys.executable} -I" in isolated
    assert f"({sys.executable} {tmp_path}" in emptied
    shown = capsys.readouterr().err
    assert "JAX was used, but nothing was guarded:" in shown
    assert isolated in shown


def test_a_command_without_jax_is_reported_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exec_command.main(["--guard", "--", sys.executable, "-c", "pass"]) == 0
    assert "no Python process loaded JAX, so nothing was guarded" in capsys.readouterr().err


def test_summary_and_exit_code_are_shown_if_the_report_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["--guard", "--guard-report", str(tmp_path / "file" / "report.json"), "--"]
    with pytest.raises(UserError, match="the command itself ended with code 7"):
        exec_command.main([*words, sys.executable, "-c", "raise SystemExit(7)"])
    assert "no Python process loaded JAX, so nothing was guarded" in capsys.readouterr().err


SITE: dict[str, str | int] = {"primitive": "sqrt", "dtype": "float32", "file": "a.py", "line": 3}

LEAVES_A_JOURNAL = """
import os, signal, sys
from pathlib import Path
from perfkit.foreign.journal import Journal
journal = Journal(Path(sys.argv[1]))
for row in range(3000):
    journal.new_row({"primitive": "sqrt", "line": row})
    journal.called()
    journal.add(row, row, 1)
    if row < 2990:
        journal.counted()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_all_its_counts(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVES_A_JOURNAL, str(tmp_path)], check=False)
    (left,) = read_journals(tmp_path)
    assert (left.calls, left.counted, left.ended) == (3000, 2990, False)
    assert [site["lifted"] for site in left.sites] == list(range(3000))
    report = guard_report(read_journals(tmp_path))
    assert (report["lifted"], report["zeroed"]) == (2999 * 3000 // 2, 3000)
    (sentence,) = report["not_counted"]
    assert "crashed: 2990 of its 3000 guarded calls are counted" in sentence


def test_counts_of_processes_of_one_program_are_added_up(tmp_path: Path) -> None:
    for lifted in (2, 3):
        journal = Journal(tmp_path)
        journal.add(journal.new_row(SITE), lifted, 0)
        journal.end()
    report = guard_report(read_journals(tmp_path))
    assert (report["processes"], report["guarded_equations"], report["lifted"]) == (2, 1, 5)
    assert report["sites"] == [{**SITE, "lifted": 5, "zeroed": 0}]


def test_functions_that_were_left_alone_are_counted_once(tmp_path: Path) -> None:
    for names in (("draw", "step"), ("draw",)):
        journal = Journal(tmp_path)
        for name in names:
            journal.left_alone(name)
        journal.end()
    report = guard_report(read_journals(tmp_path))
    assert (report["left_alone"], report["guarded_equations"]) == (2, 0)


def test_a_truncated_journal_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "journal-1-1.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "journal-2-1.jsonl").write_text('{"pid": 2, "comm', encoding="utf-8")
    Journal(tmp_path).end()
    assert len(read_journals(tmp_path)) == 1


def test_a_fork_of_a_guarded_process_needs_no_journal_of_its_own(tmp_path: Path) -> None:
    Journal(tmp_path).end()
    (own,) = read_journals(tmp_path)
    fork = JaxProcess(pid=1, command=own.command, has_plan=True)
    assert guard_report(read_journals(tmp_path), [fork])["not_counted"] == []
    without = JaxProcess(pid=1, command="python -I x.py", has_plan=True)
    (sentence,) = guard_report(read_journals(tmp_path), [without])["not_counted"]
    assert sentence.startswith("process 1 (python -I x.py) loaded JAX without the guard")
