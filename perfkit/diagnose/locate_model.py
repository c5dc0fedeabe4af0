"""The child of ``perfkit guard --locate``: prepares a prediction and searches it.

A process of its own, because what the compiler does depends on environment and affinity.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.answers.finite import check_finite
from perfkit.diagnose.finding import Finding, finding_from_dict
from perfkit.errors import PerfkitError, UserError
from perfkit.trial.messages import GUARD_OFF, GUARD_ZERO


@dataclasses.dataclass(frozen=True)
class Located:
    """The end of a search.

    Attributes
    ----------
    finding
        Where the first bad value arose, or None when the prediction is finite.
    call
        Which call of the compiled function it was in, from 0 (models that roll out call it
        several times).
    """

    finding: Finding | None
    call: int

    def as_dict(self) -> dict[str, object]:
        """The end of the search as plain data for JSON."""
        return {"finding": self.finding and self.finding.as_dict(), "call": self.call}

    def sentences(self) -> list[str]:
        """What a person is told, one sentence an entry."""
        if self.finding is None:
            return ["every value of the prediction is finite"]
        told = [self.finding.sentence()]
        if self.call:
            told.append(f"in call {self.call} of the compiled function, counted from 0")
        return told


class _FoundError(Exception):
    """Ends the prediction once something is found."""

    def __init__(self, finding: Finding, call: int) -> None:
        super().__init__()
        self.finding = finding
        self.call = call


def locate_in_child(
    workload: Mapping[str, Any],
    overrides: Mapping[str, str],
    environment: Mapping[str, str],
    affinity: tuple[int, ...],
    guard: str = GUARD_OFF,
) -> Located:
    """Search a workload under a configuration, in a process of its own.

    Parameters
    ----------
    workload
        As :meth:`perfkit.models.base.Workload.as_dict` gives it.
    overrides, environment, affinity
        What the configuration gives: the model's own knobs, variables, CPUs.
    guard
        What the domain guard does meanwhile: ``off``, ``lift`` or ``zero``.

    Raises
    ------
    UserError
        The child could not prepare the workload.
    PerfkitError
        The child died; the message ends with what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="perfkit-locate-") as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(
            json.dumps(
                {
                    "workload": dict(workload),
                    "overrides": dict(overrides),
                    "affinity": affinity,
                    "guard": guard,
                }
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.diagnose.locate_model", str(request), str(answer)],
            env=dict(environment),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        if done.returncode == UserError.exit_code:
            raise UserError(last[0])
        if done.returncode:
            raise PerfkitError(f"the search ended with code {done.returncode}: {last[0]}")
        told = json.loads(answer.read_text(encoding="utf-8"))
    finding = None if told["finding"] is None else finding_from_dict(told["finding"])
    return Located(finding, told["call"])


def search(
    workload: Mapping[str, Any], overrides: Mapping[str, str], guard: str = GUARD_OFF
) -> Located:
    """Search a workload in this process; arguments as in :func:`locate_in_child`."""
    from perfkit.models import get_model
    from perfkit.models.base import Workload

    parsed = Workload.from_dict(workload)
    model = get_model(parsed.model)
    model.load()

    import jax

    from perfkit.diagnose.locate import locate

    prepared = model.prepare(parsed, overrides)
    function = prepared.function if guard == GUARD_OFF else _guarded(prepared.function, guard)
    compiled = jax.jit(function)
    declared = prepared.declared_nan
    calls = 0

    def call(*arguments: Any) -> Any:
        nonlocal calls
        outputs = compiled(*arguments)
        leaves = {
            jax.tree_util.keystr(path): leaf
            for path, leaf in jax.tree_util.tree_flatten_with_path(outputs)[0]
        }
        finding = None
        if not check_finite(leaves, declared.results).finite:
            finding = locate(function, *arguments, declared=declared)
        if finding is not None:
            raise _FoundError(finding, calls)
        calls += 1
        return outputs

    try:
        prepared.drive(call)
    except _FoundError as found:
        return Located(found.finding, found.call)
    return Located(None, calls)


def _guarded(function: Any, mode: str) -> Any:
    from perfkit.guard.domain import guard

    guarded = guard(function, zero_rounding=mode == GUARD_ZERO)
    return lambda *arguments: guarded(*arguments)[0]


def main(arguments: list[str]) -> int:
    """Read the request file, search, and leave the answer file."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, request["affinity"])
    try:
        located = search(request["workload"], request["overrides"], request["guard"])
    except UserError as error:
        print(error, file=sys.stderr)
        return UserError.exit_code
    Path(arguments[1]).write_text(json.dumps(located.as_dict()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
