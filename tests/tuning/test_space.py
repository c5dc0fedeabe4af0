"""The search space: what is tried on a machine and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pytest

from perfkit.errors import UserError
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.knobs.allocators import ALLOCATORS
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.knob import Host
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.network.kernels import why_no_native_kernels
from perfkit.models.af3.network.source import why_all_templates
from perfkit.models.base import Model
from perfkit.models.gencast.model import GenCast
from perfkit.models.workload import Workload
from perfkit.tuning.search.strategy import Change, SearchSpace
from perfkit.tuning.space import search_space
from tests.support.replay import WORKLOAD

NATIVE_KERNELS = () if why_no_native_kernels() else (("kernels", "native"),)
"""The value that needs a compiler on this machine."""

ONE_TEMPLATE = () if why_all_templates() else (("templates", "needed"),)
"""The value that the package installed here may make useless."""

SCHEDULERS = ["CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED", "CPU_SCHEDULER_TYPE_CONCURRENCY_OPTIMIZED"]

LARGE = Host(frozenset({"avx2", "avx512f"}), 8, frozenset(ALLOCATORS))
"""Eight CPUs with AVX-512 and all allocators."""

SMALL = Host(frozenset({"avx2"}), 1, frozenset({"glibc", "glibc-keep", "glibc-hugepages"}))
"""One CPU without AVX-512 and without further allocators."""


def _changes(model: Model, workload: Workload, host: Host) -> tuple[Change, ...]:
    return search_space(model, workload, Catalogue(model.knobs), host=host).changes


def test_alphafold_on_a_large_machine() -> None:
    assert _changes(AlphaFold3(), WORKLOAD, LARGE) == (
        (
            *(("bucket", "exact"), ("msa_rows", "needed"), ("atom_slots", "needed")),
            *(*NATIVE_KERNELS, *ONE_TEMPLATE),
        ),
        (("xla_cpu_prefer_vector_width", "512"), ("allocator", "jemalloc-hugepages")),
        (("bucket", "exact"),),
        (("msa_rows", "needed"),),
        (("atom_slots", "needed"),),
        *([NATIVE_KERNELS] if NATIVE_KERNELS else []),
        *([ONE_TEMPLATE] if ONE_TEMPLATE else []),
        (("xla_cpu_prefer_vector_width", "512"),),
        (("allocator", "jemalloc-hugepages"),),
        (("pair_attention_chunk", "32"),),
        (("xla_cpu_experimental_ynn_fusion_type", "invalid"),),
        (("pair_transition_shard", "32"),),
        (("precision", "float32"),),
        (("xla_cpu_use_onednn", "true"),),
        (("parameters", "constants"),),
        (("xla_cpu_use_xnnpack", "false"),),
        (("xla_backend_optimization_level", "2"),),
        (("cpus", "1"),),
        (("xla_cpu_max_isa", "AVX2"),),
        (("xla_cpu_opt_preset", "CPU_OPT_PRESET_FAST_RUNTIME"),),
        (("allocator", "mimalloc"),),
        (("pair_attention_chunk", "8"),),
        (("xla_cpu_experimental_ynn_fusion_type", "dot,eltwise,reduce"),),
        (("pair_transition_shard", "8"),),
        (("xla_backend_optimization_level", "1"),),
        (("allocator", "tcmalloc"),),
        (("allocator", "jemalloc"),),
        (("allocator", "glibc-keep"),),
        (("allocator", "glibc-hugepages"),),
    )


def test_values_that_make_no_difference_on_a_machine_are_not_tried() -> None:
    changes = _changes(AlphaFold3(), WORKLOAD, SMALL)
    settings = {setting for change in changes for setting in change}
    assert {value for name, value in settings if name == "allocator"} == {
        "glibc-keep",
        "glibc-hugepages",
    }
    assert not {"xla_cpu_prefer_vector_width", "xla_cpu_max_isa", "cpus"} & {
        name for name, _ in settings
    }
    # One of the two knobs with small gains is left, so there is no bundle of them.
    bundles = [len(change) for change in changes if len(change) > 1]
    assert bundles == [3 + len(NATIVE_KERNELS) + len(ONE_TEMPLATE)]


def test_mimalloc_takes_the_place_of_the_allocators_of_system_packages() -> None:
    installed = frozenset({"glibc", "glibc-keep", "glibc-hugepages", "mimalloc"})
    host = dataclasses.replace(LARGE, allocators=installed)
    bundles = [change for change in _changes(AlphaFold3(), WORKLOAD, host) if len(change) > 1]
    assert bundles[1] == (("xla_cpu_prefer_vector_width", "512"), ("allocator", "mimalloc"))


def test_an_input_that_fills_its_bucket_has_no_exact_bucket_to_try() -> None:
    full = dataclasses.replace(WORKLOAD, size=128)
    assert _changes(AlphaFold3(), full, LARGE)[0] == (
        ("msa_rows", "needed"),
        ("atom_slots", "needed"),
        *NATIVE_KERNELS,
        *ONE_TEMPLATE,
    )


@pytest.mark.parametrize(
    ("instruction_sets", "names"),
    [
        ({"avx2"}, ["parameters", "grid_block", "precision"]),
        ({"avx2", "avx512_bf16"}, ["precision", "parameters", "grid_block"]),
        ({"amx_bf16"}, ["precision", "parameters", "grid_block"]),
    ],
)
def test_gencast_tries_precision_first_where_the_cpu_multiplies_bfloat16(
    instruction_sets: set[str], names: list[str]
) -> None:
    model = GenCast()
    workload = model.workload({"resolution": 5.0}, {})
    host = dataclasses.replace(SMALL, instruction_sets=frozenset(instruction_sets))
    first, *singles = _changes(model, workload, host)
    expected = {"parameters": "constants", "grid_block": "1024", "precision": "bfloat16_network"}
    expected |= {} if why_no_kernels() else {"kernels": "native"}
    assert [name for name, _ in first if name != "kernels"] == names
    assert dict(first) == expected
    tried = dict.fromkeys(name for ((name, _),) in singles[:6])
    assert [name for name in tried if name in names] == names


def test_fast_math_is_never_tried() -> None:
    changes = _changes(AlphaFold3(), WORKLOAD, LARGE)
    assert "xla_cpu_enable_fast_math" not in {name for change in changes for name, _ in change}


@pytest.mark.parametrize("model", [AlphaFold3(), GenCast()])
def test_every_value_worth_trying_is_canonical(model: Model) -> None:
    for knob in Catalogue(model.knobs):
        assert [knob.canonical(value) for value in knob.values] == list(knob.values)


def test_a_search_can_be_restricted_to_some_knobs() -> None:
    model = AlphaFold3()
    catalogue = Catalogue(model.knobs)
    space = search_space(
        model, WORKLOAD, catalogue, knobs=["allocator", "bucket", "msa_rows"], host=SMALL
    )
    assert space.changes == (
        (("bucket", "exact"),),
        (("msa_rows", "needed"),),
        (("allocator", "glibc-keep"),),
        (("allocator", "glibc-hugepages"),),
    )


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ("buckt", "unknown knob 'buckt'; the nearest is 'bucket'"),
        ("xla_cpu_enable_fast_math", "has no value that is worth trying here"),
        ("xla_cpu_max_isa", "has no value that is worth trying here"),
    ],
)
def test_a_knob_that_cannot_be_searched_is_refused(knob: str, message: str) -> None:
    model = AlphaFold3()
    with pytest.raises(UserError, match=message):
        search_space(model, WORKLOAD, Catalogue(model.knobs), knobs=[knob], host=SMALL)


def _searched(knobs: Mapping[str, Sequence[str]], *, widen: bool = False) -> SearchSpace:
    model = AlphaFold3()
    catalogue = Catalogue(model.knobs)
    return search_space(model, WORKLOAD, catalogue, knobs=knobs, widen=widen, host=SMALL)


def test_values_that_the_user_gives_are_tried_in_their_order() -> None:
    space = _searched(
        {
            "xla_cpu_enable_fast_math": ["false", "true"],
            "allocator": ["glibc-hugepages", "glibc"],
            "bucket": [],
        }
    )
    assert space.changes == (
        (("bucket", "exact"),),
        (("allocator", "glibc-hugepages"),),
        (("xla_cpu_enable_fast_math", "true"),),
    )
    # The default comes first, given or not: every search starts from it.
    assert space.values == {
        "bucket": ("upstream", "exact"),
        "allocator": ("glibc", "glibc-hugepages"),
        "xla_cpu_enable_fast_math": ("false", "true"),
    }
    assert space.size == 8


def test_a_search_can_be_widened_by_a_knob_that_is_otherwise_not_tried() -> None:
    usual = search_space(AlphaFold3(), WORKLOAD, Catalogue(AlphaFold3().knobs), host=SMALL)
    wider = _searched({"xla_cpu_scheduler_type": SCHEDULERS}, widen=True)
    added = [change for change in wider.changes if change not in usual.changes]
    assert added == [(("xla_cpu_scheduler_type", value),) for value in SCHEDULERS]
    assert set(usual.changes) < set(wider.changes)
    assert wider.key != usual.key


def test_a_space_holds_the_combinations_of_its_values() -> None:
    space = _searched({"bucket": ["exact"], "allocator": ["glibc-hugepages"]})
    assert space.holds(())
    assert space.holds((("allocator", "glibc-hugepages"), ("bucket", "exact")))
    assert not space.holds((("allocator", "glibc-keep"),))
    assert not space.holds((("xla_cpu_use_onednn", "true"),))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"bucket": ["4"]}, "bucket"),
        ({"allocator": ["glibc"]}, "is given its default 'glibc' only"),
        ({"cpus": ["100000"]}, "100000 CPUs are asked for"),
        ({"xla_cpu_enable_fast_math": []}, "has no value that is worth trying here"),
        ({"alocator": ["glibc"]}, "the nearest is 'allocator'"),
    ],
)
def test_values_that_cannot_be_searched_are_refused(
    knobs: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _searched(knobs)
