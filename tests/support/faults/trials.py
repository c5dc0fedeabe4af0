"""Trials whose worker is a shell script that does what no worker should do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from perfkit.knobs.configuration import STOCK
from perfkit.records.schema import Outcome, Record
from perfkit.trial.child import ChildProcess
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.limits import Limits
from perfkit.trial.request import TrialRequest
from tests.support.three_numbers import three_numbers

FLOOD_BYTES = 200_000_000

NO_EVENT = "the trial wrote to perfkit's pipe of events what is no event: "


@dataclass(frozen=True)
class TrialFault:
    """A script in place of a worker, and the record that it must leave.

    Attributes
    ----------
    script
        Shell script. ``$0`` is the file of the specification, ``$EVENTS`` the pipe of events.
    outcome, reason
        Outcome of the record, and what its reason contains.
    limits
        Limits of the trial.
    """

    script: str
    outcome: Outcome
    reason: str
    limits: Limits = field(default_factory=Limits)

    def run(self, folder: Path) -> Record:
        """Run a trial with this worker, in an existing folder."""
        return run_trial(shell_trial(folder, self.script, self.limits), 1)

    def fault_of(self, record: Record) -> str:
        """What is wrong with the record that a trial has left; empty if nothing is."""
        if record.outcome is self.outcome and self.reason in record.reason:
            return ""
        return f"{record.outcome} ({record.reason}), not {self.outcome} ({self.reason})"


def shell_trial(folder: Path, script: str, limits: Limits | None = None) -> TrialProcess:
    """A trial in an existing folder whose worker is a shell script."""
    command = ("/bin/sh", "-c", f"EVENTS=/proc/self/fd/$1; {script}")
    request = TrialRequest(three_numbers(), STOCK, folder, limits=limits or Limits())
    return TrialProcess(request, start_child=partial(ChildProcess, command=command))


TRIAL_FAULTS: Mapping[str, TrialFault] = MappingProxyType(
    {
        "killed by SIGKILL": TrialFault(
            "kill -KILL $$",
            Outcome.CRASHED,
            "killed by signal 9; nothing shows that memory ran out",
        ),
        "dies of SIGSEGV": TrialFault("kill -SEGV $$", Outcome.CRASHED, "died of SIGSEGV"),
        "exits early": TrialFault("exit 7", Outcome.CRASHED, "exited with code 7"),
        "hangs": TrialFault(
            "exec /bin/sleep 600",
            Outcome.TIMEOUT,
            "the program hangs: it used no CPU time for 1 s",
            Limits(hang_s=1.0),
        ),
        "computes forever": TrialFault(
            "while :; do :; done",
            Outcome.TIMEOUT,
            "not done after 0.5 s, before its first stage",
            Limits(time_s=0.5),
        ),
        "leaves a child behind": TrialFault(
            "/bin/sleep 600 & exit 0", Outcome.CRASHED, "exited with code 0"
        ),
        "dies next to a child that holds its pipe": TrialFault(
            "/bin/sleep 600 & kill -SEGV $$", Outcome.CRASHED, "died of SIGSEGV"
        ),
        "has children in sessions of their own": TrialFault(
            "/usr/bin/setsid /bin/sleep 600 & while :; do :; done",
            Outcome.TIMEOUT,
            "not done after 0.5 s",
            Limits(time_s=0.5),
        ),
        "floods its output": TrialFault(
            f"/usr/bin/yes | /usr/bin/head -c {FLOOD_BYTES}; exit 7",
            Outcome.CRASHED,
            "exited with code 7; last output: y",
        ),
        "writes text to the protocol": TrialFault(
            "echo no event > $EVENTS; exec /bin/sleep 600",
            Outcome.CRASHED,
            f"{NO_EVENT}'no event'",
        ),
        "writes bytes to the protocol": TrialFault(
            "printf '\\377\\000\\n' > $EVENTS; exec /bin/sleep 600", Outcome.CRASHED, NO_EVENT
        ),
        "writes other JSON to the protocol": TrialFault(
            """echo '[{"kind": "ready"}]' > $EVENTS; exec /bin/sleep 600""",
            Outcome.CRASHED,
            NO_EVENT,
        ),
        "dies in the middle of an event": TrialFault(
            """printf '{"kind": "ready", "da' > $EVENTS; exit 3""",
            Outcome.CRASHED,
            "exited with code 3",
        ),
    }
)
"""Faults of a worker, by what it does."""
