"""Only the models know themselves by name: everything else asks their protocols."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import perfkit
from perfkit.cli.examples import EXAMPLES
from perfkit.models import model_names

PACKAGE = Path(perfkit.__file__).parent
NAMED = re.compile("|".join([*model_names(), "alphafold"]), re.IGNORECASE)

ALLOWED = {
    # Command lines in the help.
    "cli/examples.py": {
        line for lines in EXAMPLES.values() for line in lines if NAMED.search(line)
    },
    "cli/main.py": {"Measure, guard, tune and plan AlphaFold 3 and GenCast runs on CPUs."},
    # Distributions whose versions a record states.
    "records/machine.py": {"alphafold3", "alphafold3-colabfold"},
    "packages.py": {"alphafold3", "alphafold3-colabfold"},
    "history/record_snapshot.py": {"alphafold3", "alphafold3-colabfold"},
    # First letters of environment variables.
    "knobs/inherited.py": {"AF3_"},
}
"""File to the texts in it that may name a model."""


def _texts(tree: ast.AST) -> Iterator[str]:
    """All texts, identifiers and imported modules of a file, without its docstrings."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.keyword(arg=str(text)):
                yield text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text) | ast.arg(arg=text):
                yield text
            case ast.alias(name=text) | ast.ImportFrom(module=str(text)):
                yield text


def _named(source: str) -> list[str]:
    return [text for text in _texts(ast.parse(source)) if NAMED.search(text)]


@pytest.mark.parametrize(
    "source",
    [
        "if model == 'af3': pass",
        "from perfkit.models.gencast import knobs",
        "import perfkit.models.af3.knobs",
        "f'the fit of AlphaFold {version}'",
        "def gencast_features(): pass",
        "SIZES = {'GenCast': 1}",
    ],
)
def test_a_name_in_code_is_seen(source: str) -> None:
    assert len(_named(source)) == 1


def test_a_name_in_a_docstring_is_none_in_code() -> None:
    assert _named('def f():\n    """Upstream of AlphaFold 3."""\n\nX = 1\n"""For af3."""') == []


def test_no_room_but_models_names_a_model() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith("models/"):
            continue
        named = set(_named(path.read_text(encoding="utf-8"))) - ALLOWED.get(place, set())
        if named:
            found[place] = sorted(named)
    assert found == {}


def test_every_exception_is_still_needed() -> None:
    for place, texts in ALLOWED.items():
        assert texts <= set(_named((PACKAGE / place).read_text(encoding="utf-8"))), place
