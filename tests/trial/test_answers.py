"""Reference answers: read only as they were written, and only where they were computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.workload import Workload
from perfkit.records import machine
from perfkit.records.findings import MachineRecord
from perfkit.seal import DamagedError
from perfkit.trial.answers import holds_answers, load_answers, save_answers
from perfkit.trial.request import AnswerBasis, reference_file

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "plddt": np.array([1.5, np.nan], np.float32),
    "pae": np.zeros((2, 3)),
}


def _workload(**changed: object) -> Workload:
    given: dict[str, object] = {
        "model": "af3",
        "name": "protein",
        "size": 8,
        "source": {},
        "fidelity": {"steps": 1},
        "input_digest": "0123456789abcdef",
    }
    return Workload(**{**given, **changed})  # type: ignore[arg-type]  # the test's own values


def test_answers_are_read_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "reference.answers"
    save_answers(path, ARRAYS)
    found = load_answers(path)
    assert found.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
    assert list(tmp_path.iterdir()) == [path]


def test_every_flipped_byte_and_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "reference.answers"
    save_answers(path, {"x": np.arange(3.0)})
    whole = path.read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 0x04
        for damaged in (bytes(flipped), whole[:position]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedError):
                load_answers(path)
            assert not holds_answers(path)
    path.write_bytes(whole)
    assert holds_answers(path)


def test_a_missing_file_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not holds_answers(tmp_path / "reference.answers")
    assert caplog.messages == []


def test_a_damaged_file_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "reference.answers"
    path.touch()
    assert not holds_answers(path)
    assert caplog.messages == [f"perfkit: the reference {path} is empty; it is computed again"]


def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save_answers(tmp_path / "file" / "reference.answers", ARRAYS)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "gencast"},
        {"size": 9},
        {"fidelity": {"steps": 2}},
        # The digest covers the input and the identity of the weights.
        {"input_digest": "fedcba9876543210"},
    ],
)
def test_another_computation_has_a_reference_of_its_own(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    assert reference_file(tmp_path, _workload()) == reference_file(tmp_path, _workload(name="x"))
    assert reference_file(tmp_path, _workload()) != reference_file(tmp_path, _workload(**changed))


BASIS = AnswerBasis("workload", "installation", "sources", generation=3)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(BASIS, workload="another"),
        dataclasses.replace(BASIS, installation="another"),
        dataclasses.replace(BASIS, sources=None),
        dataclasses.replace(BASIS, generation=4),
    ],
)
def test_an_answer_with_another_basis_has_another_digest(other: AnswerBasis) -> None:
    assert dataclasses.replace(BASIS).digest == BASIS.digest
    assert other.digest != BASIS.digest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("installed_build", lambda name: f"{name} 9.9"),
        ("fingerprint", lambda: MachineRecord(cpu="a", instruction_sets=["avx2"])),
        ("fingerprint", lambda: MachineRecord(cpu="b", instruction_sets=["avx2"])),
        ("fingerprint", lambda: MachineRecord(cpu="a", instruction_sets=["avx2", "avx512f"])),
    ],
)
def test_another_build_or_cpu_has_a_reference_of_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: Callable[..., object],
) -> None:
    here = reference_file(tmp_path, _workload())
    monkeypatch.setattr(machine, name, value)
    assert reference_file(tmp_path, _workload()) != here
