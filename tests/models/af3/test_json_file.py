"""Strict reading of JSON: content that Python would silently lose is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.inputs.json_file import read_json


def _read(text: str, folder: Path) -> object:
    path = folder / "a.json"
    path.write_text(text, encoding="utf-8")
    return read_json(path)


def test_valid_json_is_read(tmp_path: Path) -> None:
    assert _read('{"a": [1, 2.5, null, {"a": "b"}]}', tmp_path) == {"a": [1, 2.5, None, {"a": "b"}]}
    assert _read("\ufeff[]", tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', 'has the key "c" twice in one object'),
        ('{"a\\n": 1, "a\\n": 2}', r'has the key "a\n" twice in one object'),
        ('{"a": NaN}', "contains NaN, which is not a number in JSON"),
        ('{"a": -Infinity}', "contains -Infinity, which is not a number in JSON"),
        ('{"a": ' + "9" * 5000 + "}", "contains a number of 5,000 digits (99999999...)"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a": 1,}', "not valid JSON"),
        (" \n", "is empty"),
    ],
)
def test_bad_json_is_refused_in_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        _read(text, tmp_path)
    assert words in str(refused.value)
    assert str(tmp_path / "a.json") in str(refused.value)
