"""The child process of a trial, with ordinary programs in place of the worker."""

from __future__ import annotations

import signal
from pathlib import Path

from perfkit.trial.child import ChildProcess
from perfkit.trial.messages import Command, TrialSpec


def _child(folder: Path, script: str, grace_s: float = 60.0) -> ChildProcess:
    """A child that runs a shell script."""
    spec = TrialSpec({}, {}, (0,))
    return ChildProcess(spec, folder, {}, None, grace_s, command=("/bin/sh", "-c", script))


def test_a_child_that_exits_by_itself_is_given_time(tmp_path: Path) -> None:
    child = _child(tmp_path, "read command; echo $command")
    assert child.send(Command.FINISH)
    assert child.events.next() is None
    assert child.end(patient=True) == []
    assert child.wait() == 0
    assert child.log.read_text() == "finish\n"


def test_a_child_that_outstays_its_grace_is_killed(tmp_path: Path) -> None:
    child = _child(tmp_path, "/bin/sleep 600", grace_s=0.2)
    assert child.end(patient=True) == []
    assert child.wait() == -signal.SIGKILL


def test_children_of_the_child_are_killed_with_it(tmp_path: Path) -> None:
    child = _child(tmp_path, "/bin/sleep 600 & /bin/sleep 600")
    child.kill()
    # The sleeping processes hold the event pipe open: its end shows that both are gone.
    assert child.events.next() is None
    child.end(patient=True)


def test_a_child_that_is_gone_takes_no_command(tmp_path: Path) -> None:
    child = _child(tmp_path, "exit 7")
    assert child.wait() == 7
    assert not child.send(Command.PASS)
    child.kill()
    assert child.end(patient=True) == []
