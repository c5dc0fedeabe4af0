"""A program that crashes or hangs is a wrong answer, and the programs after it still run."""

from __future__ import annotations

import dataclasses
import os

import pytest

from perfkit.diagnose.diagnosis import Answer
from perfkit.diagnose.examiner import NotStartedError, Setup, examine_setup
from tests.support.faulty_answers import faulty_setup


def test_every_program_has_an_answer_however_it_ends() -> None:
    found = examine_setup(faulty_setup("ENDINGS", time_limit_s=1.0))
    assert found.answers == (
        Answer("prints", True, "a remark", "question of prints"),
        Answer("crashes", False, "crashed with SIGSEGV", "question of crashes"),
        Answer("raises", False, "failed: ValueError: no such shape", "question of raises"),
        Answer("hangs", False, "no answer in 1 s", "question of hangs"),
        Answer("last", True, "", "question of last"),
    )


def test_only_the_named_programs_run_on_the_given_cpus() -> None:
    cpu = min(os.sched_getaffinity(0))
    setup = dataclasses.replace(faulty_setup("ENDINGS"), cpus=(cpu,))
    found = examine_setup(setup, ["last", "prints"])
    assert [answer.name for answer in found.answers] == ["last", "prints"]


def test_a_flag_that_xla_refuses_is_named_in_one_sentence() -> None:
    with pytest.raises(NotStartedError) as raised:
        examine_setup(faulty_setup("ENDINGS").with_flags("--no_such_flag_of_xla=1"))
    message = str(raised.value)
    assert message.startswith("XLA does not start under XLA_FLAGS='--no_such_flag_of_xla=1'")
    assert message.endswith("Unknown flag in XLA_FLAGS: --no_such_flag_of_xla=1")


def test_further_flags_come_after_those_that_are_set() -> None:
    setup = Setup({"XLA_FLAGS": "--xla_a=1"}).with_flags("--xla_a=2 --xla_b=")
    assert setup.xla_flags == "--xla_a=1 --xla_a=2 --xla_b="
    assert Setup({}).with_flags("--xla_b=").xla_flags == "--xla_b="
