"""Work that a child process does for the diagnosis, and what it prints."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.errors import PerfkitError, UserError
from perfkit.lifeline import run_tied


def last_line(text: str) -> str:
    """Return the last line of a child's output that is not blank, or an empty string."""
    return (text.strip().splitlines() or [""])[-1]


def search_in_child(
    module: str, request: Mapping[str, Any], python: Path | str, environment: Mapping[str, str]
) -> Any:
    """Run a module that searches a program, and return its answer.

    Parameters
    ----------
    module
        Module that takes two paths: of the request, and of the answer that it writes, both JSON.
    request
        The request: plain data, and paths, which the module reads as texts.
    python
        Interpreter of the process.
    environment
        Environment variables of the process.

    Raises
    ------
    UserError
        The workload cannot be prepared.
    PerfkitError
        The process died; the message ends with the last line that it printed.
    """
    with tempfile.TemporaryDirectory(prefix="perfkit-search-") as folder:
        request_file, answer_file = Path(folder) / "request.json", Path(folder) / "answer.json"
        request_file.write_text(json.dumps(request, default=str), encoding="utf-8")
        done = run_tied(
            [str(python), "-m", module, str(request_file), str(answer_file)],
            env=dict(environment),
            stderr=subprocess.PIPE,
            text=True,
        )
        message = last_line(done.stderr) or "it printed no message"
        if done.returncode == UserError.exit_code:
            raise UserError(message)
        if done.returncode:
            raise PerfkitError(f"the search ended with code {done.returncode}: {message}")
        return json.loads(answer_file.read_text(encoding="utf-8"))
