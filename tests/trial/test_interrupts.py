"""Ctrl-C at a bad moment: what is under way is done first, then it counts."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from perfkit.trial.interrupts import interrupts_put_off


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
