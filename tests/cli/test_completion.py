"""Words that a shell completes, and the code that makes it ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.cli.completion import SHELLS
from perfkit.cli.examples import EXAMPLES
from perfkit.cli.main import COMMANDS
from tests.cli.conftest import Perfkit


def _completions(line: str) -> set[str]:
    """What ``perfkit`` answers to a shell when a line has been typed; nothing must be printed."""
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    place = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    # The shell reads the answer from file descriptor 8.
    command = f'"{sys.executable}" -m perfkit 8>&1 1>&2'
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, **asked, **place},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return {word.strip() for word in done.stdout.split("\n")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("perfkit re", {"recommend", "report"}),
        ("perfkit plan fit --held", {"--held-out"}),
        ("perfkit run --model gencast --reso", {"--resolution"}),
        ("perfkit run --model af3 --reso", {"--resolve-msa-overlaps"}),
        ("perfkit run --model gen", {"gencast"}),
        ("perfkit compare --jaxlib 0.1 0.2 --repr", {"--reproduce"}),
    ],
)
def test_a_line_is_completed_as_the_parser_of_its_command_takes_it(
    line: str, expected: set[str]
) -> None:
    assert _completions(line) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_the_code_and_knows_perfkit(
    perfkit: Perfkit, tmp_path: Path, shell: str
) -> None:
    printed = perfkit("completion", shell)
    assert printed.returncode == 0
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    code = tmp_path / "code"
    code.write_text(printed.stdout)
    known = {
        "bash": f"source {code} && complete -p perfkit",
        "zsh": f"autoload -Uz compinit && compinit -u && source {code} && print $_comps[perfkit]",
        "fish": f"source {code}; complete | string match -q '*perfkit*' && echo perfkit",
    }
    asked = subprocess.run(
        [shell, "-c", known[shell]], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "perfkit" in asked.stdout or "argcomplete" in asked.stdout


def test_a_shell_without_completion_is_refused(perfkit: Perfkit) -> None:
    refused = perfkit("completion", "tcsh")
    assert refused.returncode == 2
    assert "invalid choice: 'tcsh'" in refused.stderr


def test_every_command_has_an_example_of_itself() -> None:
    assert {name.split()[0] for name in EXAMPLES} == set(COMMANDS)
    for name, lines in EXAMPLES.items():
        assert all(f"perfkit {name}" in line for line in lines)
