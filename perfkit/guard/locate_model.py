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

from perfkit.errors import PerfkitError, UserError
from perfkit.guard.finding import Finding, finding_from_dict
from perfkit.guard.finite import check_finite


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
) -> Located:
    """Search a workload under a configuration, in a process of its own.

    Parameters
    ----------
    workload
        As :meth:`perfkit.models.base.Workload.as_dict` gives it.
    overrides, environment, affinity
        What the configuration gives: the model's own knobs, variables, CPUs.

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
                {"workload": dict(workload), "overrides": dict(overrides), "affinity": affinity}
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.guard.locate_model", str(request), str(answer)],
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


def search(workload: Mapping[str, Any], overrides: Mapping[str, str]) -> Located:
    """Search a workload in this process; arguments as in :func:`locate_in_child`."""
    from perfkit.models import get_model
    from perfkit.models.base import Workload

    parsed = Workload.from_dict(workload)
    model = get_model(parsed.model)
    model.load()

    import jax

    from perfkit.guard.locate import locate

    prepared = model.prepare(parsed, overrides)
    compiled = jax.jit(prepared.function)
    calls = 0

    def call(*arguments: Any) -> Any:
        nonlocal calls
        outputs = compiled(*arguments)
        leaves = {str(place): leaf for place, leaf in enumerate(jax.tree_util.tree_leaves(outputs))}
        finding = None
        if not check_finite(leaves).finite:
            finding = locate(prepared.function, *arguments)
        if finding is not None:
            raise _FoundError(finding, calls)
        calls += 1
        return outputs

    try:
        prepared.drive(call)
    except _FoundError as found:
        return Located(found.finding, found.call)
    return Located(None, calls)


def main(arguments: list[str]) -> int:
    """Read the request file, search, and leave the answer file."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, request["affinity"])
    try:
        located = search(request["workload"], request["overrides"])
    except UserError as error:
        print(error, file=sys.stderr)
        return UserError.exit_code
    finding = None if located.finding is None else located.finding.as_dict()
    answer = json.dumps({"finding": finding, "call": located.call})
    Path(arguments[1]).write_text(answer, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
