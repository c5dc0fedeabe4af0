"""A remedy is a run: flags are recommended only if every program confirms them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.examiner import NotStartedError, Setup, examine_setup
from perfkit.diagnose.mending import Candidate, Remedies, examine_others, find_remedies
from tests.support.faulty_answers import MENDING_FLAG, faulty_setup

PROGRAMS = ("sums", "arctan", "sorting", "denormals")


class Jaxlib:
    """A jaxlib that is wrong under some flags.

    Parameters
    ----------
    wrong
        Programs that are wrong without flags.
    mended, broken
        Programs that become right, or wrong, under a flag.
    lucky
        Programs that are wrong in every second run, under any flag.
    refused
        Flags that it does not know.
    """

    def __init__(
        self,
        wrong: Sequence[str],
        mended: Mapping[str, Sequence[str]],
        broken: Mapping[str, Sequence[str]] | None = None,
        *,
        lucky: Sequence[str] = (),
        refused: Sequence[str] = (),
    ) -> None:
        self._wrong, self._mended, self._broken = wrong, mended, broken or {}
        self._lucky, self._refused = lucky, refused
        self._runs = 0

    def examine(self, setup: Setup, names: Sequence[str] = ()) -> Diagnosis:
        flags = setup.xla_flags.split()
        if set(flags) & set(self._refused):
            raise NotStartedError("XLA does not start")
        self._runs += 1
        wrong = set(self._wrong) | {name for flag in flags for name in self._broken.get(flag, ())}
        wrong -= {name for flag in flags for name in self._mended.get(flag, ())}
        wrong |= set(self._lucky) if self._runs % 2 else set()
        return Diagnosis(
            "0.0",
            setup.xla_flags,
            tuple(Answer(name, name not in wrong) for name in names or PROGRAMS),
        )

    def remedies(self, *candidates: Candidate) -> Remedies:
        setup = Setup({})
        return find_remedies(setup, self.examine(setup), candidates, examine=self.examine)


A, B, C = (Candidate(f"--{name}=1", f"effect of {name}") for name in "abc")


def test_the_fewest_flags_that_mend_most_are_recommended() -> None:
    jaxlib = Jaxlib(
        ["sums", "arctan", "sorting"],
        {A.flags: ["sums"], B.flags: ["sums", "arctan"], C.flags: ["sorting"]},
    )
    found = jaxlib.remedies(A, B, C)
    assert found.flags == "--b=1 --c=1"
    assert found.under_flags is not None
    assert found.under_flags.healthy
    assert found.mending("sums") == (A, B)
    assert found.mending("denormals") == ()


def test_flags_that_make_another_answer_wrong_are_not_recommended() -> None:
    jaxlib = Jaxlib(
        ["sums", "arctan"],
        {A.flags: ["sums"], B.flags: ["arctan"]},
        {A.flags: ["denormals"]},
    )
    found = jaxlib.remedies(A, B)
    assert found.flags == B.flags
    assert found.under_flags is not None
    assert found.under_flags.wrong_names == ("sums",)


def test_drastic_flags_are_reported_but_not_recommended() -> None:
    drastic = Candidate("--d=1", "nothing is optimised", drastic=True)
    found = Jaxlib(["sums"], {"--d=1": ["sums"]}).remedies(drastic)
    assert found.mending("sums") == (drastic,)
    assert (found.flags, found.under_flags) == ("", None)


def test_an_answer_that_is_right_by_chance_is_not_mended() -> None:
    found = Jaxlib([], {}, lucky=["sums"]).remedies(A)
    assert [each.mends for each in found.tried] == [()]
    assert found.flags == ""


def test_flags_that_the_jaxlib_does_not_know_are_left_out() -> None:
    found = Jaxlib(["sums"], {B.flags: ["sums"]}, refused=[A.flags]).remedies(A, B)
    assert [each.candidate for each in found.tried] == [B]
    assert found.flags == B.flags


def test_real_processes_verify_the_flag_that_mends_a_wrong_answer() -> None:
    diagnosis = Diagnosis("0.0", "", (Answer("first", True), Answer("needs_flag", False)))
    mending = Candidate(MENDING_FLAG, "LLVM's optimisation level is 1 instead of 3")
    found = find_remedies(faulty_setup("MENDABLE"), diagnosis, (mending,))
    assert [each.mends for each in found.tried] == [("needs_flag",)]
    assert found.flags == MENDING_FLAG
    assert found.under_flags is not None
    assert found.under_flags.xla_flags == MENDING_FLAG
    assert found.under_flags.healthy


def test_an_environment_that_does_not_start_is_reported_and_the_next_is_examined(
    tmp_path: Path,
) -> None:
    jaxlib = Jaxlib([], {})
    missing, there = tmp_path / "python", Path("/usr/bin/python")

    def examine(setup: Setup, names: Sequence[str]) -> Diagnosis:
        if setup.python == missing:
            return examine_setup(setup, names)
        return jaxlib.examine(setup, names)

    first, second = examine_others(Setup({}), [missing, there], examine=examine)
    assert first.diagnosis is None
    assert "No such file" in first.reason
    assert second.python == there
    assert second.diagnosis is not None
    assert second.diagnosis.healthy
