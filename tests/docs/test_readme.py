"""The README and the guides name what there is, and their commands have the options they use."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.cli.main import COMMANDS, main
from perfkit.models import model_names
from perfkit.tuning.goals.objectives import OBJECTIVES
from perfkit.tuning.search.registry import DEFAULT_STRATEGY, STRATEGIES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUNE = (ROOT / "docs" / "how-to" / "tune.md").read_text(encoding="utf-8")

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def _first_column(header: str) -> list[str]:
    """Names in the first column of the table of the guide whose header begins with a word."""
    table = TUNE.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))


def test_every_command_is_described_and_no_other() -> None:
    described = re.findall(r"^\| `perfkit (\w+)", README, re.MULTILINE)
    assert set(described) == set(COMMANDS)


def test_every_objective_is_described() -> None:
    assert _first_column("objective") == list(OBJECTIVES)


def test_every_strategy_is_described_and_the_default_is_marked() -> None:
    assert sorted(_first_column("strategy")) == sorted(STRATEGIES)
    assert f"| `{DEFAULT_STRATEGY}` (default) |" in TUNE


def _commands(page: Path) -> Iterator[list[str]]:
    """Command lines of perfkit in the code blocks of a page, as words."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", page.read_text("utf-8"), re.M | re.S):
        joined = block.replace("\\\n", " ")
        for line in re.findall(r"^ *(?:\$ )?(perfkit [a-z].*)$", joined, re.M):
            yield shlex.split(line, comments=True)


def _help(words: list[str]) -> str:
    """Help of the command that a line calls, for the model that it names."""
    # Models of plugins, which pages show as examples, are not installed here.
    model = [f"--model={word}" for word in words if word in model_names()]
    plan_commands = (["plan", "check"], ["plan", "fit"], ["plan", "table"])
    name = words[1:3] if words[1:3] in plan_commands else words[1:2]
    upgrade = ["--jaxlib"] if words[1] == "compare" and "--jaxlib" in words else []
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        main([*name, *upgrade, *model, "--help"])
    return output.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_a_page_has_the_options_that_it_uses(page: Path) -> None:
    for words in _commands(page):
        own = words[: words.index("--")] if "--" in words else words
        used = {word.partition("=")[0] for word in own if word.startswith("--")}
        known = set(re.findall(r"--[a-z][\w-]*", _help(words)))
        assert used - known == set(), " ".join(words)


def test_every_file_that_the_readme_links_to_exists() -> None:
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        [*command, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    loaded = [
        found
        for page in tmp_path.rglob("*.html")
        for found in re.findall(
            r"<(?:script|img|link)[^>]*(?:src|href)=\"(?:https?:)?//[^>]*>",
            page.read_text(encoding="utf-8"),
        )
    ]
    assert loaded == []
