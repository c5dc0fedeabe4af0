"""Any text becomes a safe file name, and usual names become those of AlphaFold 3."""

from __future__ import annotations

import fnmatch
import glob
import shlex
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perfkit.file_names import LEAST_LIMIT_BYTES, LIMIT_BYTES, file_name

ANY_TEXT = st.text(st.characters(), max_size=400)
"""Includes control characters and lone surrogates."""

HOSTILE_TEXT = st.lists(
    st.sampled_from(["..", ".", "/", "-", "\\", "*", "[a]", "con", "COM1", " ", "\n", "$(x)", "é"])
).map("".join)

DEVICES = {"CON", "PRN", "AUX", "NUL"} | {
    f"{port}{n}" for port in ("COM", "LPT") for n in range(10)
}
"""Names that Windows reserves, with any suffix."""

LIMITS = st.integers(LEAST_LIMIT_BYTES, 255)


@given(ANY_TEXT | HOSTILE_TEXT, LIMITS)
def test_any_text_becomes_a_short_literal_word(text: str, limit: int) -> None:
    made = file_name(text, limit=limit)
    assert 1 <= len(made.encode("ascii")) <= limit
    assert set(made) <= set(string.ascii_letters + string.digits + "_-.")
    assert made[0] not in ".-"
    assert ".." not in made
    assert made.split(".")[0].upper() not in DEVICES
    assert shlex.split(made) == [made]
    assert glob.escape(made) == made
    assert fnmatch.fnmatchcase(made, made)


@given(ANY_TEXT | HOSTILE_TEXT, LIMITS)
def test_a_file_name_is_mapped_to_itself(text: str, limit: int) -> None:
    made = file_name(text, limit=limit)
    assert file_name(made, limit=limit) == made


@given(st.text("ab", min_size=1, max_size=60), st.text("ab", min_size=1, max_size=60))
def test_shortened_names_stay_different(one: str, other: str) -> None:
    assume(one != other)
    start = "x" * LIMIT_BYTES
    assert file_name(start + one) != file_name(start + other)


# The first example imports AlphaFold 3.
@settings(deadline=None)
@given(st.text(string.ascii_letters + string.digits + " _-.()+αé", min_size=1, max_size=120))
def test_usual_names_equal_those_of_alphafold(name: str) -> None:
    folding_input = pytest.importorskip(
        "alphafold3.common.folding_input", reason="needs AlphaFold 3"
    )
    assume(name[0] not in ".-" and name.strip())
    chain = folding_input.ProteinChain(id="A", sequence="G", ptms=[])
    try:
        upstream = folding_input.Input(name=name, chains=[chain], rng_seeds=[1]).sanitised_name()
    except ValueError:
        assume(False)
    assume(".." not in upstream and upstream[0] not in ".-")
    assume(upstream.split(".")[0].upper() not in DEVICES)
    assert file_name(name) == upstream


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ubiquitin", "ubiquitin"),
        ("A/B complex", "AB_complex"),
        ("<script>alert(1)</script>", "scriptalert1script"),
        ("E. coli HypF", "E._coli_HypF"),
        # printf '../../escape' | sha256sum, and so on.
        ("../../escape", "escape-efbf103bce"),
        ("-rf", "rf-686c39acd6"),
        ("con.json", "_con.json-fd2453c327"),
        ("名前", "unnamed-7ec2629241"),
    ],
)
def test_examples_have_the_expected_names(text: str, expected: str) -> None:
    assert file_name(text) == expected


def test_a_limit_without_room_for_a_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 18 or more, not 17"):
        file_name("x", limit=17)
