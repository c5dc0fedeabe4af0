"""What a worker keeps from trial to trial, and what it drops."""

from __future__ import annotations

import math
import mmap
from contextlib import ExitStack

import pytest

from perfkit.knobs.knob import CompilerOption
from perfkit.trial.messages import GUARD_LIFT, GUARD_OFF, TrialSpec
from perfkit.trial.worker.cache import (
    Kept,
    Keys,
    Program,
    WorkerCache,
    mappings,
    most_mappings,
    registered_model,
)


def _use(kept: Kept[str, str], key: str, made: list[str]) -> None:
    """Use the value of a key; ``made`` lists the keys whose values had to be made."""

    def make() -> str:
        made.append(key)
        return key.upper()

    with kept.using(key, make) as value:
        assert value == key.upper()


def test_the_value_that_was_used_least_recently_is_dropped() -> None:
    kept: Kept[str, str] = Kept(2)
    made: list[str] = []
    for key in "abacab":
        _use(kept, key, made)
    # c takes the place of b, and b the place of c: a was used in between both times.
    assert made == ["a", "b", "c", "b"]
    assert [key in kept for key in "abc"] == [True, True, False]


def test_a_value_in_use_is_never_dropped() -> None:
    kept: Kept[str, str] = Kept(0)
    made: list[str] = []
    with ExitStack() as uses:
        for _ in range(2):
            uses.enter_context(kept.using("a", lambda: "A"))
        _use(kept, "b", made)
        assert [key in kept for key in "ab"] == [True, False]
        assert not kept.drop()
    assert "a" not in kept


def test_a_value_that_cannot_be_made_is_not_kept() -> None:
    kept: Kept[str, str] = Kept(1)

    def refuse() -> str:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"), kept.using("a", refuse):
        pass
    made: list[str] = []
    _use(kept, "a", made)
    assert made == ["a"]


def _keys(
    guard: str = GUARD_OFF, options: dict[str, CompilerOption] | None = None, **overrides: str
) -> Keys:
    spec = TrialSpec({"model": "three"}, overrides, (0,), guard=guard)
    spec.compiler_options.update(options or {})
    return Keys.of(spec)


def test_options_of_the_compilation_change_the_program_only() -> None:
    stock, other = _keys(), _keys(options={"xla_cpu_use_onednn": True})
    assert (stock.prediction, stock.lowering) == (other.prediction, other.lowering)
    assert stock.program != other.program
    assert _keys(precision="bfloat16").prediction != stock.prediction


def test_a_guarded_program_is_not_kept() -> None:
    guarded = _keys(GUARD_LIFT)
    assert guarded.prediction == _keys().prediction
    assert (guarded.lowering, guarded.program) == (None, None)


def test_programs_are_dropped_before_the_kernel_refuses_mappings() -> None:
    """Real mappings, a page each with changing rights, which the kernel cannot join."""
    before = mappings()
    cache = WorkerCache(registered_model, keeps=True)

    def program() -> Program:
        pages = [mmap.mmap(-1, mmap.PAGESIZE, prot=right) for right in (1, 3) * 100]
        return Program(pages, "off")

    for name in ("first", "second", "third"):
        with cache.programs.using(name, program):
            pass
    assert mappings() >= before + 3 * 150
    # Half of the limit holds two programs and a half on top of what is there.
    cache.limit_mappings(2 * (before + 2.5 * 200))
    assert "first" not in cache.programs
    assert "third" in cache.programs
    cache.limit_mappings(0)
    assert "third" not in cache.programs
    assert mappings() <= before + 50


def test_a_program_in_use_is_kept_whatever_its_mappings() -> None:
    cache = WorkerCache(registered_model, keeps=True)
    with cache.programs.using("used", lambda: Program(None, "off")):
        cache.limit_mappings(0)
        assert "used" in cache.programs


def test_the_kernel_says_how_many_mappings_a_process_may_have() -> None:
    assert 1000 < most_mappings() < math.inf
