"""``perfkit compare --jaxlib`` on a model of another package, with real trials and environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from perfkit.cli.main import main
from perfkit.paths import CACHE_VARIABLE
from perfkit.records.store import read_records
from perfkit.trial.conditions.jaxlib_standing import CHECK_VARIABLE, Standing, store_standing
from tests.support.plugin import install

ROOT = Path(__file__).parents[2]
HERE = version("jaxlib")
FAULTY = "0.10.2"
"""A jaxlib that computes the model ``norms`` wrongly on CPUs with AVX2 (jax issue 39103)."""


def compare(folder: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder that holds the package of the model in ``packages``."""
    return subprocess.run(
        [sys.executable, "-m", "perfkit", "compare", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "packages")},
        capture_output=True,
        text=True,
        check=False,
    )


def packages(folder: Path) -> Path:
    made = folder / "packages"
    made.mkdir()
    return made


@pytest.mark.slow
def test_equal_versions_give_equal_answers_and_the_same_command_measures_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(packages(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(CHECK_VARIABLE, "on")
    store_standing(Standing(HERE, "", 13, ("arctan",)))
    command = ["--jaxlib", HERE, sys.executable, "--model", "heat", "--edge", "16"]
    command += ["--pairs", "1", "--passes", "1", "--out", "records"]
    done = compare(tmp_path, command)
    assert "bitwise" in done.stdout, done.stderr
    assert "ANSWER CHANGED" not in done.stdout
    records = read_records(tmp_path / "records")
    seen = {record.observations["upgrade"].data["side"]: record for record in records}
    assert set(seen) == {"old", "new"}
    assert seen["old"].block == seen["new"].block
    assert all("step" in str(one.observations["upgrade"].data["modules"]) for one in records)
    # Both sides are the same jaxlib: one warning, which each record keeps.
    wrong = f"jaxlib {HERE} gives 1 of 13 known answers wrong"
    assert (done.stdout + done.stderr).count(wrong) == 1
    assert all(any(notice.startswith(wrong) for notice in one.notices) for one in records)
    assert (tmp_path / "records" / seen["old"].artifacts["optimised HLO"]).exists()
    again = compare(tmp_path, command)
    assert "bitwise" in again.stdout
    assert len(read_records(tmp_path / "records")) == 2


@pytest.fixture
def faulty_python(tmp_path: Path) -> Path:
    """The Python of an environment that differs from this one in JAX alone."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    wanted = [f"jax=={FAULTY}", f"jaxlib=={FAULTY}"]
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"jaxlib {FAULTY} cannot be installed: {installed.stderr.strip()[-200:]}")
    (site,) = folder.glob("lib/python*/site-packages")
    elsewhere = [path for path in sys.path if path.endswith("site-packages")]
    (site / "shared.pth").write_text("\n".join([str(ROOT), *elsewhere]) + "\n")
    return python


@pytest.mark.slow
def test_a_wrong_fusion_is_named_and_reproduced_without_perfkit(
    tmp_path: Path, faulty_python: Path
) -> None:
    install(packages(tmp_path), "norms_model:Norms", "norms")
    command = ["--jaxlib", str(faulty_python), HERE, "--model", "norms", "--reproduce", "shown"]
    done = compare(tmp_path, [*command, "--pairs", "1", "--passes", "1", "--out", "records"])
    folder = tmp_path / "shown" / "answer"
    if not folder.exists() and "ANSWER CHANGED" not in done.stdout:
        pytest.skip(f"jaxlib {FAULTY} computes this rightly on this CPU")
    assert done.returncode == 1
    assert "the answer changes in module lengths" in done.stdout
    assert f"jaxlib {FAULTY} is wrong" in done.stdout
    found = (folder / "found.txt").read_text().splitlines()[1:]
    named = [line.split("(")[0].strip() for line in found]
    assert named == ["dot_general", "integer_pow", "reduce_sum"]
    codes = {}
    for python in (str(faulty_python), sys.executable):
        # Isolated, Python finds no module next to the script or in PYTHONPATH.
        ran = subprocess.run(
            [python, "-I", "reproduce.py"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert not ran.stderr.count("Traceback"), ran.stderr
        codes[python] = ran.returncode
    assert codes == {str(faulty_python): 1, sys.executable: 0}
    case = json.loads((folder / "case.json").read_text())
    assert [one["shape"] for one in case["outputs"]] == [[32_769]]


SMALL = ["--model", "gencast", "--resolution", "30", "--mesh", "1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jaxlib", "latest", HERE, *SMALL], "--jaxlib takes versions such as"),
        (["--jaxlib", "nowhere/python", HERE, *SMALL], "nowhere/python is no file"),
        (["--jaxlib", HERE, *SMALL], "expected 2 arguments"),
        (["--jaxlib", HERE, HERE, "--model", "nothing"], "unknown model 'nothing'"),
        (["--jaxlib", "{false}", HERE, *SMALL], "cannot be imported by"),
        (["--jaxlib", HERE, HERE, *SMALL, "--pairs", "0"], "pairs"),
        (["--jaxlib", HERE, HERE, *SMALL, "--factor", "0.5"], "--factor takes 1 or more"),
        (["--jaxlib", HERE, HERE, *SMALL, "--reproduce", "{full}"], "is not empty"),
        (["--jaxlib", HERE, HERE, *SMALL, "--reproduce", "{file}/x"], "cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full, file = tmp_path / "full", tmp_path / "full" / "file"
    full.mkdir()
    file.touch()
    places = {"false": "/bin/false", "full": str(full), "file": str(file)}
    assert main(["compare", *(word.format(**places) for word in words)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_the_command_imports_no_jax() -> None:
    code = "import sys, perfkit.cli.commands.compare.jaxlib; print('jax' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_help_describes_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--jaxlib", "--help"])
    assert ended.value.code == 0
    assert "--reproduce DIR" in capsys.readouterr().out
