"""JSON of which nothing may be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.inputs.json_file import read_json


def _read(text: str, folder: Path) -> object:
    path = folder / "a.json"
    path.write_text(text, encoding="utf-8")
    return read_json(path)


def test_what_is_read_is_what_is_there(tmp_path: Path) -> None:
    assert _read('{"a": [1, 2.5, null, {"a": "b"}]}', tmp_path) == {"a": [1, 2.5, None, {"a": "b"}]}
    assert _read("\ufeff[]", tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', 'names the key "c" twice in one object'),
        ('{"a\\n": 1, "a\\n": 2}', r'names the key "a\n" twice in one object'),
        ('{"a": NaN}', "holds NaN, which is not a number in JSON"),
        ('{"a": -Infinity}', "holds -Infinity, which is not a number in JSON"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number of 5,000 digits (99999999...)"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a": 1,}', "not valid JSON"),
        (" \n", "is empty"),
    ],
)
def test_what_would_be_lost_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        _read(text, tmp_path)
    assert words in str(refused.value)
    assert str(tmp_path / "a.json") in str(refused.value)
