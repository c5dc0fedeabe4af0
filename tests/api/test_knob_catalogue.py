"""The catalogue of knobs states what can be set on a machine, and why some values cannot."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perfkit.api.knob_catalogue import KnobEntry, Scope, knob_catalogue, knob_entry
from perfkit.errors import UserError
from perfkit.knobs.knob import Host, Knob, Layer, Search
from perfkit.knobs.parsers import boolean

HOST = Host(
    frozenset({"avx2"}), 2, frozenset({"glibc", "glibc-keep", "glibc-hugepages", "mimalloc"})
)


def _entries(model: str) -> dict[str, KnobEntry]:
    return {entry.name: entry for entry in knob_catalogue(model, host=HOST).knobs}


def test_a_knob_of_the_model_and_one_of_the_process() -> None:
    entries = _entries("af3")
    bucket = entries["bucket"]
    assert (bucket.layer, bucket.scope, bucket.default) == (Layer.MODEL, Scope.PROGRAM, "upstream")
    assert bucket.allowed == "upstream, exact, or a whole number, 1 or more"
    assert bucket.exact
    assert bucket.worth_trying == ("exact",)
    assert not entries["precision"].exact
    allocator = entries["allocator"]
    assert allocator.scope is Scope.PROCESS
    assert allocator.worth_trying == ("mimalloc", "glibc-keep", "glibc-hugepages")
    assert set(allocator.not_here) == {"jemalloc-hugepages", "jemalloc", "tcmalloc"}
    assert "apt install libjemalloc2" in allocator.not_here["jemalloc"]


def test_values_that_need_an_instruction_set_are_not_here() -> None:
    width = _entries("gencast")["xla_cpu_prefer_vector_width"]
    assert width.worth_trying == ()
    assert width.not_here == {"512": "it makes no difference on this CPU without avx512f"}


def test_a_knob_that_xla_takes_per_compilation() -> None:
    knob = Knob(
        *("xla_flag", "true", Layer.XLA, True, "a flag", boolean, Search(("false",), order=1)),
        option=bool,
    )
    assert knob_entry(knob, HOST).scope is Scope.COMPILATION


def test_searched_knobs_come_first_in_the_order_of_the_search() -> None:
    names = [entry.name for entry in knob_catalogue("af3", host=HOST).knobs]
    assert names[:3] == ["bucket", "msa_rows", "atom_slots"]
    assert (
        names.index("allocator") < names.index("cpus") < names.index("xla_allow_excess_precision")
    )


def test_missing_allocators_are_named_with_what_to_install() -> None:
    missing = knob_catalogue("af3", host=HOST).missing
    assert len(missing) == 2
    assert "apt install libjemalloc2" in missing[0]


def test_other_flags_are_read_only_when_asked_for() -> None:
    def installed() -> Mapping[str, str]:
        return {"xla_cpu_use_onednn": "false", "xla_another": "7"}

    def fail() -> Mapping[str, str]:
        raise AssertionError("the flags are not asked for")

    assert knob_catalogue("af3", host=HOST, installed=fail).further_flags == {}
    catalogue = knob_catalogue("af3", host=HOST, all_flags=True, installed=installed)
    assert catalogue.further_flags == {"xla_another": "7"}


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UserError, match="unknown model 'af4'; the nearest is 'af3'"):
        knob_catalogue("af4")
