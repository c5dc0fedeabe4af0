"""Finds where the first bad value of a prediction arises, in a process of its own.

The search needs its own process because the compiler depends on environment and affinity.
``python -m perfkit.diagnose.locate.workload REQUEST ANSWER`` is that process: it reads a JSON
file with the request and writes one with the answer.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.answers.finite import check_finite
from perfkit.diagnose.child_process import search_in_child
from perfkit.diagnose.locate.finding import Finding, finding_from_dict
from perfkit.errors import UserError
from perfkit.knobs.environment import child_environment
from perfkit.models import get_model
from perfkit.models.workload import Workload
from perfkit.trial.messages import GUARD_OFF, GUARD_ZERO

if TYPE_CHECKING:
    from perfkit.knobs.configuration import Configuration
    from perfkit.models.prepared import Prepared


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes
    ----------
    finding
        Where the first bad value arose, or None if the prediction is finite.
    call
        The call of the compiled function in which it arose, from 0; models that roll out call the
        function several times. Without a finding, the number of calls.
    """

    finding: Finding | None
    call: int

    def as_dict(self) -> dict[str, object]:
        """Return the result as plain data for JSON."""
        return {"finding": self.finding and self.finding.as_dict(), "call": self.call}

    def sentences(self) -> list[str]:
        """Return the result in sentences, for the terminal and for records."""
        if self.finding is None:
            return ["every value of the prediction is finite"]
        sentences = [self.finding.sentence()]
        if self.call:
            sentences.append(f"in call {self.call} of the compiled function, counted from 0")
        return sentences


Locate = Callable[[Workload, "Configuration", str], SearchResult]
"""Searches a workload under a configuration and a mode of the guard."""


def locate_in_workload(
    workload: Workload, configuration: Configuration, guard: str = GUARD_OFF
) -> SearchResult:
    """Search the prediction of a workload under a configuration, in a process of its own.

    Parameters
    ----------
    workload
        The workload.
    configuration
        Gives the process its environment and CPUs, and the model its own knobs.
    guard
        Mode of the domain guard during the search: ``off``, ``lift`` or ``zero``.

    Raises
    ------
    UserError
        The workload cannot be prepared.
    PerfkitError
        The process died; the message ends with the last line that it printed.
    """
    request = {
        "workload": workload.as_dict(),
        "overrides": configuration.overrides(),
        "affinity": configuration.affinity(),
        "guard": guard,
    }
    answer = search_in_child(
        "perfkit.diagnose.locate.workload",
        request,
        sys.executable,
        child_environment(configuration),
    )
    finding = None if answer["finding"] is None else finding_from_dict(answer["finding"])
    return SearchResult(finding, answer["call"])


def locate_in_this_process(
    workload: Workload, overrides: Mapping[str, str], guard: str = GUARD_OFF
) -> SearchResult:
    """Prepare the prediction of a workload and search it, in this process.

    Parameters
    ----------
    workload
        The workload.
    overrides
        Values of the model's own knobs.
    guard
        Mode of the domain guard, as for :func:`locate_in_workload`.
    """
    model = get_model(workload.model)
    model.load()
    return locate_in_prediction(model.prepare(workload, overrides), guard)


def locate_in_prediction(prepared: Prepared, guard: str = GUARD_OFF) -> SearchResult:
    """Search a prepared prediction in this process, call by call of its compiled function.

    Parameters
    ----------
    prepared
        The prediction.
    guard
        Mode of the domain guard, as for :func:`locate_in_workload`.
    """
    import jax

    from perfkit.diagnose.locate.function import locate_in_function

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
            finding = locate_in_function(function, *arguments, declared=declared)
        if finding is not None:
            raise _FoundError(SearchResult(finding, calls))
        calls += 1
        return outputs

    try:
        prepared.drive(call)
    except _FoundError as found:
        return found.result
    return SearchResult(None, calls)


class _FoundError(Exception):
    """Ends the prediction once a bad value was found."""

    def __init__(self, result: SearchResult) -> None:
        super().__init__()
        self.result = result


def _guarded(function: Any, mode: str) -> Any:
    from perfkit.guard.transform import guard

    guarded = guard(function, zero_rounding=mode == GUARD_ZERO)
    return lambda *arguments: guarded(*arguments)[0]


def main(arguments: list[str]) -> int:
    """Read the request file, search, and write the answer file."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, request["affinity"])
    workload = Workload.from_dict(request["workload"])
    try:
        result = locate_in_this_process(workload, request["overrides"], request["guard"])
    except UserError as error:
        print(error, file=sys.stderr)
        return UserError.exit_code
    Path(arguments[1]).write_text(json.dumps(result.as_dict()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
