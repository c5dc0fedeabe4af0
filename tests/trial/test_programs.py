"""Compiled programs: JAX gets only undamaged ones that were compiled for this CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.trial.worker.programs import Programs

NAME = "jit_f-0123abcd-cache"


def _published(shared: Path, own: Path, content: bytes = b"machine code") -> Path:
    """The shared file of a trial that compiled one program."""
    trial = Programs(shared, own)
    (trial.offer() / NAME).write_bytes(content)
    trial.publish()
    trial.close()
    (path,) = shared.glob(f"*/{NAME}.*")
    return path


def _offered(shared: Path, own: Path) -> dict[str, bytes]:
    """The programs that JAX finds in a later trial."""
    folder = Programs(shared, own).offer()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_program_is_offered_to_the_next_trial(tmp_path: Path) -> None:
    _published(tmp_path / "shared", tmp_path / "one")
    assert _offered(tmp_path / "shared", tmp_path / "two") == {NAME: b"machine code"}
    assert not (tmp_path / "one").exists()


def test_every_flipped_byte_of_a_program_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = b"machine code"
    for position in range(len(whole)):
        path = _published(tmp_path / "shared", tmp_path / "one")
        flipped = bytearray(whole)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        assert _offered(tmp_path / "shared", tmp_path / f"{position}") == {}
        assert not path.exists()
    assert len(caplog.messages) == len(whole)
    assert caplog.messages[0].endswith("its checksum differs; it is compiled again")


@pytest.mark.parametrize("damage", ["empty", "cut", "a folder", "a link to nowhere"])
def test_a_damaged_program_is_not_offered(tmp_path: Path, damage: str) -> None:
    path = _published(tmp_path / "shared", tmp_path / "one")
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "a link to nowhere":
        path.symlink_to(tmp_path / "nothing")
    else:
        path.write_bytes({"empty": b"", "cut": b"machine cod"}[damage])
    assert _offered(tmp_path / "shared", tmp_path / "two") == {}
    _published(tmp_path / "shared", tmp_path / "three")
    assert _offered(tmp_path / "shared", tmp_path / "four") == {NAME: b"machine code"}


def test_files_that_perfkit_did_not_publish_are_left_alone_and_not_offered(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / NAME).write_bytes(b"of another program")
    assert _offered(shared, tmp_path / "one") == {}
    assert (shared / NAME).read_bytes() == b"of another program"


def test_programs_of_another_cpu_are_not_offered(tmp_path: Path) -> None:
    path = _published(tmp_path / "shared", tmp_path / "one")
    there = Programs(tmp_path / "shared", tmp_path / "two", installation="another")
    assert list(there.offer().iterdir()) == []
    assert path.exists()


def test_two_trials_that_compiled_the_same_program_leave_one_that_is_offered(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    trials = [Programs(shared, tmp_path / name) for name in ("one", "two")]
    for number, trial in enumerate(trials):
        (trial.offer() / NAME).write_bytes(f"code {number}".encode())
    for trial in trials:
        trial.publish()
    assert _offered(shared, tmp_path / "three") in ({NAME: b"code 0"}, {NAME: b"code 1"})


def test_a_trial_keeps_its_own_program_when_another_has_published_the_same(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    trial = Programs(shared, tmp_path / "one")
    # JAX adds programs after a trial has published: the first pass compiles its own helpers.
    (trial.offer() / NAME).write_bytes(b"own code")
    _published(shared, tmp_path / "two", b"code of another")
    assert (trial.offer() / NAME).read_bytes() == b"own code"


def test_a_trial_goes_on_when_its_program_cannot_be_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = Programs(tmp_path / "shared", tmp_path / "one")
    (trial.offer() / NAME).write_bytes(b"code")
    (folder,) = (tmp_path / "shared").iterdir()
    folder.rmdir()
    folder.touch()
    trial.publish()
    (warning,) = caplog.messages
    assert warning.endswith("; it is not kept")


def test_a_trial_goes_on_when_its_program_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = Programs(tmp_path / "shared", tmp_path / "one")
    (trial.offer() / NAME).mkdir()
    trial.publish()
    (warning,) = caplog.messages
    assert warning.endswith("is unusable (Is a directory); it is not kept")


def test_a_folder_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be used \(Not a directory\)"):
        Programs(tmp_path / "file", tmp_path / "own")


_COMPILE = """
import sys
from pathlib import Path
import jax
from perfkit.trial.worker.programs import Programs
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
programs = Programs(Path(sys.argv[1]), Path(sys.argv[2]))
jax.config.update("jax_compilation_cache_dir", str(programs.offer()))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
x = jax.numpy.arange(4.0)
events.clear()
y = jax.jit(lambda x: jax.numpy.sin(x) * 3)(x)
programs.publish()
hits = sum(event.endswith("/cache_hits") for event in events)
print(hits, float(y.sum()))
"""


def test_jax_reads_programs_through_the_links_and_compiles_damaged_ones_again(
    tmp_path: Path,
) -> None:
    pytest.importorskip("jax")

    def run(number: int) -> tuple[str, str, str]:
        ran = subprocess.run(
            [sys.executable, "-c", _COMPILE, str(tmp_path / "shared"), str(tmp_path / f"{number}")],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        hits, answer = ran.stdout.split()
        return hits, answer, ran.stderr

    first, second = run(1), run(2)
    assert (first[0], second[0]) == ("0", "1")
    for path in (tmp_path / "shared").glob("*/*-cache.*"):
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 0x08
        path.write_bytes(damaged)
    third = run(3)
    assert third[0] == "0"
    assert first[1] == second[1] == third[1]
    assert "it is compiled again" in third[2]
