"""Ctrl-C at a bad moment: the block under way ends first, then the interrupt takes effect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from perfkit.trial.interrupts import interrupts_deferred


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_for_the_block_to_end(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done = []

    def press_twice() -> None:
        with interrupts_deferred():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert done == ["whole"]
    assert signal.getsignal(number) is before


def test_without_an_interrupt_nothing_happens() -> None:
    with interrupts_deferred():
        done = True
    assert done


def test_an_error_of_the_block_takes_precedence_over_the_interrupt() -> None:
    def press_and_break() -> None:
        with interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        press_and_break()


def test_another_thread_is_left_alone() -> None:
    done = []

    def work() -> None:
        with interrupts_deferred():
            done.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["whole"]


PROGRAM = """
import signal, time
from perfkit.trial.interrupts import ignore_interrupts, install_interrupt_handlers
from perfkit.trial.interrupts import interrupts_deferred
{before}
install_interrupt_handlers({patience})
raised = 0
print("ready", flush=True)
deadline_s = time.monotonic() + 60
while raised < {most} and time.monotonic() < deadline_s:
    try:
        {wait}
    except KeyboardInterrupt:
        raised += 1
        print("raised", flush=True)
{after}
print("end", flush=True)
"""


def _program(
    wait: str = "time.sleep(60)",
    most: int = 2,
    before: str = "",
    after: str = "",
    patience: str = "",
) -> subprocess.Popen[str]:
    code = PROGRAM.format(wait=wait, most=most, before=before, after=after, patience=patience)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


def _request(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal and wait until it has been handled."""
    assert process.stdout is not None
    process.send_signal(number)
    assert process.stdout.readline() == "raised\n"
    time.sleep(0.2)


def _end(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    """The rest of its output, its errors, and its exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    # communicate() would lose what readline() has buffered.
    with process.stdout as output, process.stderr as errors:
        return output.read(), errors.read(), process.wait(60)


def test_two_requests_are_raised_and_later_ones_are_not() -> None:
    wait_for_more = "for _ in range(100): time.sleep(0.01)"
    process = _program(after=wait_for_more)
    for number in (signal.SIGINT, signal.SIGHUP):
        _request(process, number)
    for _ in range(4):
        process.send_signal(signal.SIGINT)
    assert _end(process) == ("end\n", "", 0)


def test_deferred_requests_count() -> None:
    process = _program(
        wait="with interrupts_deferred(): [os.kill(os.getpid(), signal.SIGINT) for _ in range(3)]",
        before="import os",
        after="os.kill(os.getpid(), signal.SIGTERM)",
    )
    # Three at once count as one: no answer to the first could be seen.
    assert _end(process) == ("raised\nraised\nend\n", "", 0)


def test_a_program_that_hangs_after_two_requests_ends_at_the_third() -> None:
    process = _program(patience="patience_s=0.0", after="while True: time.sleep(1)")
    for _ in range(2):
        _request(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert _end(process) == ("", "", 130)


def test_an_ignored_signal_stays_ignored() -> None:
    # As under nohup: the signal has no effect, neither in the block nor after it.
    hang_up = "os.kill(os.getpid(), signal.SIGHUP)"
    process = _program(
        most=0,
        before="import os; signal.signal(signal.SIGHUP, signal.SIG_IGN)",
        after=f"{hang_up}\nwith interrupts_deferred(): {hang_up}\n{hang_up}",
    )
    assert _end(process) == ("end\n", "", 0)


def test_a_request_after_all_work_is_done_has_no_effect() -> None:
    process = _program(
        most=0, after="ignore_interrupts(); import os; os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert _end(process) == ("end\n", "", 0)


def test_a_request_during_a_finaliser_is_not_lost() -> None:
    before = (
        "import os\n"
        "class Final:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0)\n"
    )
    process = _program(most=1, before=before, wait="Final(); time.sleep(60)")
    assert _end(process) == ("raised\nend\n", "", 0)


def test_a_closed_terminal_does_not_stop_the_remaining_work() -> None:
    terminal, other_end = os.openpty()
    code = PROGRAM.format(wait="time.sleep(60)", most=1, before="", after="", patience="")
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=other_end, stderr=subprocess.PIPE, text=True
    )
    os.close(other_end)
    assert os.read(terminal, 100).strip() == b"ready"
    time.sleep(0.2)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert (errors, process.returncode) == ("", 0)


ENDS = """\
import sys
from perfkit.trial.interrupts import EXIT_CODE, ignore_interrupts
try:
    exec("raise KeyboardInterrupt")
except KeyboardInterrupt:
    pass
ignore_interrupts()
sys.exit(EXIT_CODE)
"""


def test_an_interrupt_in_generated_code_does_not_replace_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(ENDS)
    # Only `python -m` asks Python how the last text that it ran has ended.
    assert subprocess.run([sys.executable, "-m", "ends"], cwd=tmp_path).returncode == 130
