"""Files of recorded sweeps: what they keep, what they refuse, and what follows from them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recorded import RecordedSweep, read_sweep, write_sweep
from perfkit.errors import UserError
from perfkit.records.schema import Outcome
from tests.support.tiny_sweep import ALLOCATOR, BOTH, PRECISION, STOCK, entry, tiny_sweep


def _written(folder: Path, **changes: Any) -> Path:
    """The file of the tiny sweep with other values of some keys."""
    document = json.loads(tiny_sweep().model_dump_json()) | changes
    path = folder / "sweep.json.xz"
    path.write_bytes(lzma.compress(json.dumps(document).encode()))
    return path


def test_a_sweep_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json.xz"
    write_sweep(path, tiny_sweep())
    assert read_sweep(path) == tiny_sweep()


def test_the_settings_identify_a_configuration() -> None:
    sweep = tiny_sweep()
    key = (("allocator", "glibc-keep"), ("precision", "bfloat16"))
    assert sweep.by_settings[key].passes_s == [4.0, 4.0]
    assert sweep.by_settings[key].label == "allocator=glibc-keep precision=bfloat16"


def test_the_ratio_is_the_median_over_rounds_whatever_the_drift() -> None:
    # Stock slows down from 10 s to 30 s; the configuration takes 0.5, 0.4 and 0.6 of it.
    drifting = entry(PRECISION, (5.0, 8.0, 18.0), (10.0, 20.0, 30.0))
    sweep = tiny_sweep([entry(STOCK, (10.0, 20.0, 30.0), (10.0, 20.0, 30.0)), drifting])
    assert drifting.ratio == pytest.approx(0.5)
    assert sweep.stock_s == 20.0
    assert sweep.level_s(drifting) == pytest.approx(10.0)


def test_the_optimum_has_a_right_answer() -> None:
    wrong = entry(BOTH, (1.0, 1.0), outcome=Outcome.DISAGREES)
    sweep = tiny_sweep([*tiny_sweep().configurations[:3], wrong])
    assert sweep.optimum.settings == PRECISION
    assert tiny_sweep().optimum.settings == BOTH


def test_a_sample_is_not_searched() -> None:
    whole = tiny_sweep()
    whole.ensure_factorial()
    assert whole.factors == {
        "precision": (None, "bfloat16"),
        "allocator": (None, "glibc-keep"),
    }
    sample = tiny_sweep(whole.configurations[:3])
    assert sample.missing == ((("allocator", "glibc-keep"), ("precision", "bfloat16")),)
    message = (
        "the sweep of gencast, tiny, full depth cannot be searched, because not all combinations "
        "of its values were measured: 1 are missing, e.g. allocator=glibc-keep precision=bfloat16"
    )
    with pytest.raises(UserError, match=message):
        sample.ensure_factorial()


def _configurations(*entries: Any) -> list[Any]:
    return [json.loads(one.model_dump_json()) for one in entries]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": "another"}, "format: Input should be 'perfkit-recorded-sweep'"),
        ({"version": 2}, "version: Input should be 1"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"configurations": []}, "configurations: List should have at least 1 item"),
        (
            {"configurations": _configurations(entry(PRECISION, (5.0, 5.0)))},
            "its first configuration is not stock, or stock failed",
        ),
        (
            {"configurations": _configurations(*2 * [entry(STOCK, (10.0, 10.0))])},
            "it has two entries for one configuration",
        ),
        (
            {
                "configurations": [
                    *_configurations(entry(STOCK, (10.0, 10.0))),
                    _configurations(entry(ALLOCATOR, (9.0, 9.0)))[0] | {"base_s": [1.0]},
                ]
            },
            "allocator=glibc-keep has 2 passes and 1 of stock; expected equal numbers",
        ),
        (
            {
                "configurations": [
                    *_configurations(entry(STOCK, (10.0, 10.0))),
                    _configurations(entry(ALLOCATOR, (9.0, 9.0)))[0]
                    | {"base_s": [], "passes_s": []},
                ]
            },
            "allocator=glibc-keep ended well without a pass",
        ),
    ],
)
def test_a_foreign_document_is_refused_with_its_first_fault(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    path = _written(tmp_path, **changes)
    with pytest.raises(UserError) as refused:
        read_sweep(path)
    assert str(path) in str(refused.value)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def _torn(whole: bytes) -> bytes:
    return whole[:-20]


def _flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]


def _plain(whole: bytes) -> bytes:
    return lzma.decompress(whole)


@pytest.mark.parametrize("damage", [_torn, _flipped, _plain, lambda whole: b""])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Any) -> None:
    path = _written(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="is damaged or is not a recorded sweep"):
        read_sweep(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json\.xz cannot be read: No such file"):
        read_sweep(tmp_path / "none.json.xz")


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json.xz"
    path.write_bytes(lzma.compress(b"not JSON"))
    with pytest.raises(UserError, match="is not a recorded sweep"):
        read_sweep(path)


def test_stock_must_have_ended_well() -> None:
    failed = entry(STOCK, (), (), Outcome.CRASHED)
    with pytest.raises(ValueError, match="stock failed"):
        RecordedSweep.model_validate(tiny_sweep().model_dump() | {"configurations": [failed]})
