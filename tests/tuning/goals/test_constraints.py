"""Search spaces that keep constraints."""

from __future__ import annotations

import pytest

from perfkit.answers.agreement import AgreementClass
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.gencast.model import GenCast
from perfkit.tuning.goals.constraints import Constraints, constrained_space, start_values
from perfkit.tuning.search.strategy import Change, SearchSpace

AF3 = AlphaFold3()
EXACT: Change = (("bucket", "exact"),)
FLOAT32: Change = (("precision", "float32"),)
JEMALLOC: Change = (("allocator", "jemalloc"),)
KEEP: Change = (("allocator", "glibc-keep"),)
CHANGES = (EXACT, JEMALLOC, KEEP, FLOAT32)


def _space(*changes: Change) -> SearchSpace:
    return SearchSpace(Catalogue(AF3.knobs), changes)


def test_without_constraints_the_space_is_unchanged() -> None:
    space = _space(*CHANGES)
    assert constrained_space(space, Constraints(), AF3) is space
    assert constrained_space(space, Constraints(memory_bytes=1), AF3).changes == CHANGES


def test_without_preloading_no_library_is_searched() -> None:
    found = constrained_space(_space(*CHANGES), Constraints(preload=False), AF3)
    assert found.changes == (EXACT, KEEP, FLOAT32)


def test_where_stock_is_bfloat16_every_change_is_tried_in_float32() -> None:
    """Stock of AlphaFold 3 promises bfloat16 only, with whatever exact knob."""
    strict = Constraints(agreement=AgreementClass.FLOAT32)
    assert start_values(strict, AF3) == {"precision": "float32"}
    found = constrained_space(_space(*CHANGES), strict, AF3)
    assert found.changes == (
        FLOAT32,
        (("bucket", "exact"), ("precision", "float32")),
        (("allocator", "jemalloc"), ("precision", "float32")),
        (("allocator", "glibc-keep"), ("precision", "float32")),
    )
    # Stock, and two buckets with three allocators, all in float32.
    assert found.size == 7
    assert not found.holds(EXACT)
    assert found.holds((*EXACT, *FLOAT32))


def test_where_stock_is_strict_looser_values_are_left_out() -> None:
    model = GenCast()
    looser: Change = (("precision", "bfloat16"),)
    strict = Constraints(agreement=AgreementClass.FLOAT32)
    assert start_values(strict, model) == {}
    space = SearchSpace(Catalogue(model.knobs), (JEMALLOC, looser, (*KEEP, *looser)))
    assert constrained_space(space, strict, model).changes == (JEMALLOC,)


def test_a_space_without_anything_left_is_refused() -> None:
    with pytest.raises(UserError, match=r"nothing is left to search: .* without LD_PRELOAD"):
        constrained_space(_space(JEMALLOC), Constraints(preload=False), AF3)
