"""The README's *apply a preset to my own script*, word by word, with DeepMind's own program.

No package ships ``run_alphafold.py``, so that the test is skipped unless :data:`VARIABLE` names a
Python with DeepMind's ``alphafold3``, the file ``run_alphafold.py`` and a folder with parameters,
separated by spaces. The program runs three times at its 200 diffusion steps, about two minutes
each on two cores.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fold_documents import protein, write_input

VARIABLE = "PERFKIT_RUN_ALPHAFOLD"

ROOT = Path(__file__).parents[4]

FURTHER = ("--norun_data_pipeline", "--num_recycles=1", "--num_diffusion_samples=1", "--buckets=32")
"""Options that make the prediction small; the bucket is one that the preset does not use."""

PRESET = """
format = 1
model = "af3"

[knobs]
atom_slots = "needed"
bucket = "exact"
msa_rows = "needed"
xla_cpu_prefer_vector_width = "512"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set"),
]


@dataclass(frozen=True)
class Ran:
    """How the program ended.

    Attributes
    ----------
    printed
        Standard output, with seconds and the name of the folder replaced.
    sentences
        Lines of perfkit on standard error, without their prefix.
    files
        Paths of its results, relative to the folder of the output.
    """

    printed: str
    sentences: tuple[str, ...]
    files: tuple[str, ...]


def command_of_the_readme() -> list[str]:
    """The words of the command that the README shows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(
        r"^perfkit exec --preset .* -- python run_alphafold\.py .*$", readme, re.MULTILINE
    )
    assert found is not None
    return shlex.split(found.group())


def run(folder: Path, words: list[str]) -> Ran:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = re.sub(r"\d+\.\d+ seconds", "N seconds", done.stdout)
    lines = [line for line in done.stderr.splitlines() if line.startswith("perfkit: ")]
    (out,) = folder.glob("out")
    files = tuple(sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()))
    out.rename(folder / f"kept-{len(list(folder.iterdir()))}")
    return Ran(printed, tuple(line.removeprefix("perfkit: ") for line in lines), files)


def test_the_readme_s_command_applies_the_preset_to_the_unmodified_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", str(tmp_path / "cache"))
    python, program, parameters = shlex.split(os.environ[VARIABLE])
    write_input(tmp_path / "input.json", protein())
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "preset.toml").write_text(PRESET)

    words = command_of_the_readme()
    at = words.index("--") + 1
    assert words[0] == "perfkit"
    under = [sys.executable, "-m", *words[:at]]
    stock = [python, program, *words[at + 2 :], f"--model_dir={parameters}", *FURTHER]
    alone = run(tmp_path, stock)
    first, second = (run(tmp_path, [*under, *stock]) for _ in range(2))

    assert first.printed == second.printed == alone.printed
    assert first.files == second.files == alone.files
    assert alone.sentences == ()
    for sentence in (
        "atom_slots=needed: applied once",
        # Fewer than 128 atoms need an empty token; both MSAs have the query.
        "bucket=exact: applied once (9 tokens)",
        "msa_rows=needed: applied once (2 rows)",
    ):
        assert sentence in first.sentences
    assert any(
        re.fullmatch(r"xla_cpu_prefer_vector_width=512: applied to \d+ programs", sentence)
        for sentence in first.sentences
    )
    (programs,) = re.findall(r"(\d+) of \1 programs from the compile cache", second.sentences[-1])
    assert int(programs) > 0
    assert f", 0 of {programs} programs from the compile cache" in first.sentences[-1]
