"""Advisories apply to the versions and flags for which the fault is known, and to no others."""

from __future__ import annotations

import pytest

from perfkit.diagnose.advisories import ADVISORIES, advisories_for, parse_xla_flags
from perfkit.diagnose.known_answers import KNOWN_ANSWERS
from perfkit.packages import parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [("0.12.0.1", (0, 12, 0, 1)), ("0.4.32", (0, 4, 32)), ("0.10.2.dev3", (0, 10, 2)), ("x", ())],
)
def test_a_version_is_read_up_to_the_first_part_that_is_no_number(
    text: str, version: tuple[int, ...]
) -> None:
    assert parse_version(text) == version


def test_flags_are_read_with_and_without_values() -> None:
    assert parse_xla_flags("--xla_a=TRUE --xla_b --xla_c=") == {
        "xla_a": "true",
        "xla_b": "",
        "xla_c": "",
    }


@pytest.mark.parametrize(
    ("version", "references"),
    [
        ("0.10.2", {"39103", "39352", "39257", "29537"}),
        ("0.11.0", {"39257"}),
        ("0.10.1", {"38445", "29537"}),
        ("0.12.0.1", set()),
        ("0.4.32", {"23590"}),
    ],
)
def test_a_version_has_the_faults_that_were_reported_for_it(
    version: str, references: set[str]
) -> None:
    found = " ".join(advisory.reference for advisory in advisories_for(version, ""))
    assert all(reference in found for reference in references)
    assert len(advisories_for(version, "")) == len(references)


@pytest.mark.parametrize(
    ("flags", "applies"),
    [
        ("--xla_cpu_enable_fast_math=true", True),
        ("--xla_cpu_enable_fast_math", True),
        ("--xla_cpu_enable_fast_math=false", False),
        ("", False),
    ],
)
def test_fast_math_has_an_advisory_only_if_it_is_on(flags: str, applies: bool) -> None:
    found = [advisory.flag for advisory in advisories_for("0.12.0.1", flags)]
    assert found == ["xla_cpu_enable_fast_math"] * applies


def test_every_advisory_has_a_reference_and_names_an_existing_program() -> None:
    names = {known.name for known in KNOWN_ANSWERS} | {""}
    assert all(advisory.reference for advisory in ADVISORIES)
    assert all(advisory.shown_by in names for advisory in ADVISORIES)
