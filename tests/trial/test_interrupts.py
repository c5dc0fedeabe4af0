"""Ctrl-C at a bad moment: what is under way is done first, then it counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from perfkit.trial.interrupts import interrupts_put_off


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_for_the_block_to_end(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done = []

    def press_twice() -> None:
        with interrupts_put_off():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert done == ["whole"]
    assert signal.getsignal(number) is before


def test_without_an_interrupt_nothing_happens() -> None:
    with interrupts_put_off():
        done = True
    assert done


def test_an_error_of_the_block_goes_before_the_interrupt() -> None:
    def press_and_break() -> None:
        with interrupts_put_off():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        press_and_break()


def test_another_thread_is_left_alone() -> None:
    done = []

    def work() -> None:
        with interrupts_put_off():
            done.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["whole"]


HEEDING = """
import signal, time
from perfkit.trial.interrupts import heed_interrupts, ignore_interrupts, interrupts_put_off
{before}
heed_interrupts()
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


def _heeding(
    wait: str = "time.sleep(60)", most: int = 2, before: str = "", after: str = ""
) -> subprocess.Popen[str]:
    code = HEEDING.format(wait=wait, most=most, before=before, after=after)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


def _request(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal and wait until it is answered, the answer's end included."""
    assert process.stdout is not None
    process.send_signal(number)
    assert process.stdout.readline() == "raised\n"
    time.sleep(0.2)


def _end(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    """What is still to be read of it, and its exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    # communicate() would pass over what readline() has taken in.
    with process.stdout as said, process.stderr as complaints:
        return said.read(), complaints.read(), process.wait(60)


def test_two_requests_are_raised_and_later_ones_are_not() -> None:
    wait_for_more = "for _ in range(100): time.sleep(0.01)"
    process = _heeding(after=wait_for_more)
    for number in (signal.SIGINT, signal.SIGHUP):
        _request(process, number)
    for _ in range(4):
        process.send_signal(signal.SIGINT)
    assert _end(process) == ("end\n", "", 0)


def test_requests_that_were_put_off_count() -> None:
    process = _heeding(
        wait="with interrupts_put_off(): [os.kill(os.getpid(), signal.SIGINT) for _ in range(3)]",
        before="import os",
        after="os.kill(os.getpid(), signal.SIGTERM)",
    )
    # Three at once are one, as nobody could see an answer to the first.
    assert _end(process) == ("raised\nraised\nend\n", "", 0)


def test_a_program_that_hangs_after_two_requests_is_left_at_the_third() -> None:
    process = _heeding(
        before="import perfkit.trial.interrupts as module; module.PATIENCE_S = 0",
        after="while True: time.sleep(1)",
    )
    for _ in range(2):
        _request(process, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert _end(process) == ("", "", 130)


def test_what_is_ignored_stays_ignored() -> None:
    # As under nohup: neither the block nor what follows it notices the signal.
    hang_up = "os.kill(os.getpid(), signal.SIGHUP)"
    process = _heeding(
        most=0,
        before="import os; signal.signal(signal.SIGHUP, signal.SIG_IGN)",
        after=f"{hang_up}\nwith interrupts_put_off(): {hang_up}\n{hang_up}",
    )
    assert _end(process) == ("end\n", "", 0)


def test_nothing_comes_too_late() -> None:
    process = _heeding(
        most=0, after="ignore_interrupts(); import os; os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert _end(process) == ("end\n", "", 0)


def test_a_request_that_a_finaliser_meets_is_not_lost() -> None:
    before = (
        "import os\n"
        "class Final:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0)\n"
    )
    process = _heeding(most=1, before=before, wait="Final(); time.sleep(60)")
    assert _end(process) == ("raised\nend\n", "", 0)


def test_a_closed_terminal_does_not_stop_what_is_left_to_do() -> None:
    terminal, other_end = os.openpty()
    code = HEEDING.format(wait="time.sleep(60)", most=1, before="", after="")
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=other_end, stderr=subprocess.PIPE, text=True
    )
    os.close(other_end)
    assert os.read(terminal, 100).strip() == b"ready"
    time.sleep(0.2)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    _, complaints = process.communicate(timeout=60)
    assert (complaints, process.returncode) == ("", 0)
