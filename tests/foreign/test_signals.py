"""A command under ``perfkit exec`` sees signals and ends as it does without perfkit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from perfkit.errors import UserError
from tests.foreign.conftest import Here, Lab

COUNTS = """
import signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: got.append(number))
print("ready", flush=True)
while signal.SIGTERM not in got:
    time.sleep(0.01)
print(*(signal.Signals(number).name for number in got))
sys.exit(3)
"""


def started(lab: Lab, code: str) -> subprocess.Popen[str]:
    """``perfkit exec`` in a process group of its own, once its command runs."""
    process = subprocess.Popen(
        lab.exec_command("--preset", lab.preset(""), "--", sys.executable, "-c", code),
        cwd=lab.folder,
        env=lab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_signals_to_perfkit_reach_the_command(lab: Lab) -> None:
    process = started(lab, COUNTS)
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert sorted(output.split()) == ["SIGINT", "SIGTERM", "SIGUSR1"]
    assert process.returncode == 3
    assert "perfkit: wall " in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_perfkit_ends_by_the_signal_that_ended_the_command(
    lab: Lab, number: signal.Signals
) -> None:
    dies = f"""
import os, signal
print("ready", flush=True)
signal.signal({number.value}, signal.SIG_DFL) if {number.value} != 9 else None
os.kill(os.getpid(), {number.value})
"""
    process = started(lab, dies)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -number
    assert errors.splitlines()[-1].startswith("perfkit: wall ")


def test_output_and_exit_code_are_those_of_the_command(lab: Lab, here: Here) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(41)"
    finished = here.exec("--preset", lab.preset(""), "--", sys.executable, "-c", code)
    assert finished.returncode == 41
    assert finished.stdout == "out\n"
    assert finished.stderr.splitlines()[0] == "err"
    assert len(finished.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bucket-step", "0", "--preset", "P", "--", "true"], "takes 1 to 1000000 tokens, not 0"),
        (["--bucket-step", "8", "--guard", "--", "true"], "--bucket-step needs --preset"),
        (["--", "true"], "give --preset P, --guard or --record DIR"),
        (["--record", "/proc/none", "--", "true"], "the output folder /proc/none cannot be"),
    ],
)
def test_a_command_line_without_effect_is_refused(
    lab: Lab, here: Here, words: list[str], message: str
) -> None:
    preset = lab.preset("")
    with pytest.raises(UserError, match=message):
        here.exec(*(preset if word == "P" else word for word in words))
