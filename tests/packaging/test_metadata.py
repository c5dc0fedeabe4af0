"""The files that describe a version agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from perfkit.version import __version__

ROOT = Path(__file__).parents[2]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version() -> None:
    newest = re.findall(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)$", _read("CHANGELOG.md"), re.MULTILINE)[
        0
    ]
    cited = yaml.safe_load(_read("CITATION.cff"))
    assert newest == (__version__, str(cited["date-released"]))


def test_the_citation_names_this_version_and_its_licence() -> None:
    cited = yaml.safe_load(_read("CITATION.cff"))
    project = tomllib.loads(_read("pyproject.toml"))["project"]
    assert str(cited["version"]) == __version__
    assert cited["license"] == project["license"] == "Apache-2.0"
    assert [author["name"] for author in cited["authors"]] == [
        author["name"] for author in project["authors"]
    ]


def test_every_extra_that_make_installs_exists() -> None:
    extras = re.search(r"--editable '\.\[([\w,-]+)\]'", _read("Makefile"))
    assert extras is not None
    declared = tomllib.loads(_read("pyproject.toml"))["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(declared)


def test_hooks_run_programs_of_this_checkout_only() -> None:
    configured = yaml.safe_load(_read(".pre-commit-config.yaml"))
    assert [repository["repo"] for repository in configured["repos"]] == ["local"]
    hooks = configured["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert [hook["entry"].split()[0] for hook in hooks] == [
        ".venv/bin/ruff",
        ".venv/bin/ruff",
        ".venv/bin/lint-imports",
        ".venv/bin/mypy",
    ]
