"""Damaged files of every kind are used or refused in one sentence, and nothing else happens.

No traceback, no write outside the output folder, no process or code from a file, no lost result, no
element of a page from a name. ``scripts/fuzz_drill.py`` does the same with 10,000 files and a time
limit. Damage is seeded: the number of a failing file repeats it.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from perfkit.models.gencast.inputs.hdf5_check import COMMAND
from tests.fuzz.attempt import Kind, attempt, damaged
from tests.fuzz.kinds import plain_kinds
from tests.fuzz.watch import watched

FILES, DRAWN = 12, 4
"""Damaged files of each kind, and of each kind of which pages are drawn."""


def _try(kinds: tuple[Kind, ...], folder: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for kind in kinds:
        for number in range(DRAWN if kind.draws else FILES):
            seed = f"{kind.name} {number}"
            outcome = attempt(kind, damaged(kind, seed), folder)
            assert outcome.faults == (), seed
            found[outcome.word] += 1
    return found


def test_intact_files_of_every_kind_are_used(tmp_path: Path) -> None:
    kinds = plain_kinds(tmp_path)
    for kind in kinds:
        for content in kind.originals:
            outcome = attempt(kind, content, tmp_path / "work")
            assert (kind.name, outcome.word, outcome.sentence) == (kind.name, "accepted", "")


def test_damaged_files_are_used_or_refused_in_one_sentence(tmp_path: Path) -> None:
    found = _try(plain_kinds(tmp_path), tmp_path / "work")
    # Both happen often: the damage is neither trivial nor always fatal.
    assert min(found["accepted"], found["refused"]) > found.total() / 5


def test_damaged_files_of_the_models_are_used_or_refused_in_one_sentence(tmp_path: Path) -> None:
    for package in ("alphafold3", "h5netcdf"):
        pytest.importorskip(package, reason="the file is read by the extra of its model")
    from tests.fuzz.model_kinds import model_kinds

    kinds = model_kinds()
    for kind in kinds:
        outcome = attempt(kind, kind.originals[0], tmp_path / "work")
        assert (kind.name, outcome.word, outcome.sentence) == (kind.name, "accepted", "")
    found = _try(kinds, tmp_path / "work")
    assert min(found["accepted"], found["refused"]) > found.total() / 5


def test_the_watch_sees_what_no_file_may_cause(tmp_path: Path) -> None:
    """Without it, the tests above would pass whatever a file does."""
    (tmp_path / "out").mkdir()
    with watched([tmp_path / "out"]) as faults:
        (tmp_path / "out" / "result").write_bytes(b"")
        (tmp_path / "out" / ".." / "elsewhere").write_bytes(b"")
        (tmp_path / "elsewhere").rename(tmp_path / "out" / "moved")
        (tmp_path / "folder").mkdir()
        subprocess.run(["true"], check=True)
        # What checks HDF5 files, which ends without a request.
        subprocess.run(COMMAND, stdin=subprocess.DEVNULL, check=False)
    assert faults == [
        f"open {tmp_path}/elsewhere",
        f"os.rename {tmp_path}/elsewhere",
        f"os.mkdir {tmp_path}/folder",
        "subprocess.Popen ('true', ['true'])",
    ]
