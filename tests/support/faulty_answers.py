"""Known-answer programs of a faulty jaxlib: wrong under some XLA flags, crashing, hanging."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import perfkit
from perfkit.diagnose.diagnosis import Answer
from perfkit.diagnose.examiner import TIME_LIMIT_S, Setup
from perfkit.diagnose.known_answers import KnownAnswer

MENDING_FLAG = "--xla_backend_optimization_level=1"
"""XLA takes the flag, and the program ``needs_flag`` is wrong without it."""


def _right(name: str) -> KnownAnswer:
    return KnownAnswer(name, f"question of {name}", lambda: Answer(name, True))


def _prints() -> Answer:
    print('{"name": "prints", "right": false}')
    return Answer("prints", True, "a remark")


def _crashes() -> Answer:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Answer("crashes", True)


def _hangs() -> Answer:
    time.sleep(600)
    return Answer("hangs", True)


def _raises() -> Answer:
    raise ValueError("no such shape\nwith a second line")


def _needs_flag() -> Answer:
    right = MENDING_FLAG in os.environ.get("XLA_FLAGS", "").split()
    return Answer("needs_flag", right, "" if right else "1 of 2 elements; at [0] 3, not 4")


ENDINGS = (
    KnownAnswer("prints", "question of prints", _prints),
    KnownAnswer("crashes", "question of crashes", _crashes),
    KnownAnswer("raises", "question of raises", _raises),
    KnownAnswer("hangs", "question of hangs", _hangs),
    _right("last"),
)
"""Programs that end in different ways."""

MENDABLE = (_right("first"), KnownAnswer("needs_flag", "question of needs_flag", _needs_flag))
"""Programs of which one is wrong unless :data:`MENDING_FLAG` is set."""


def faulty_setup(programs: str, time_limit_s: float = TIME_LIMIT_S) -> Setup:
    """The setup of a process that runs programs of this module.

    Parameters
    ----------
    programs
        ``ENDINGS`` or ``MENDABLE``.
    time_limit_s
        Seconds after which a program is ended.
    """
    root = Path(perfkit.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return Setup(environment, programs=f"{__name__}:{programs}", time_limit_s=time_limit_s)
