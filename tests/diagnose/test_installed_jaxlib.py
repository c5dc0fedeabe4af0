"""The answers of the installed jaxlib, whichever it is: right, or wrong as its advisories say."""

from __future__ import annotations

import os
from importlib import metadata

import pytest

from perfkit.diagnose.advisories import advisories_for
from perfkit.diagnose.doctor import examine

pytest.importorskip("jaxlib", reason="its answers are examined")


def test_every_wrong_answer_is_a_known_fault_of_this_version() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    known = {each.shown_by for each in advisories_for(metadata.version("jaxlib"), flags)}
    answers = examine().answers
    assert any(answer.right for answer in answers)
    assert {answer.name for answer in answers if not answer.right} <= known
