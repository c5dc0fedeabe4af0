"""Configurations: one form for every way of writing them, refusals by name."""

from __future__ import annotations

import hashlib
import itertools
import os

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration, parse_values
from perfkit.knobs.knob import Layer
from perfkit.models.af3.knobs import KNOBS


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(KNOBS)


def test_equal_configurations_are_equal_however_they_are_written(catalogue: Catalogue) -> None:
    written = {"xla_cpu_use_onednn": "Yes", "cpus": " 01 ", "bucket": "0128", "msa_rows": "needed"}
    plain = {"msa_rows": "needed", "bucket": "128", "cpus": "1", "xla_cpu_use_onednn": "true"}
    first, second = catalogue.configuration(written), catalogue.configuration(plain)
    assert first == second
    assert hash(first) == hash(second)
    assert first.digest == second.digest
    assert first.settings == (
        ("bucket", "128"),
        ("cpus", "1"),
        ("msa_rows", "needed"),
        ("xla_cpu_use_onednn", "true"),
    )


def test_the_digest_is_the_same_on_every_machine(catalogue: Catalogue) -> None:
    settings = catalogue.configuration({"bucket": "exact", "allocator": "jemalloc"})
    text = b'[["allocator","jemalloc"],["bucket","exact"]]'
    assert settings.digest == hashlib.sha256(text).hexdigest()[:12]


def test_every_default_is_left_out(catalogue: Catalogue) -> None:
    configuration = catalogue.configuration({knob.name: knob.default for knob in catalogue})
    assert configuration == STOCK
    assert configuration.label == "stock"


def test_configurations_that_differ_have_different_digests(catalogue: Catalogue) -> None:
    values = itertools.product(
        ("upstream", "exact", "200"), ("1024", "needed"), ("bfloat16", "float32")
    )
    digests = {
        catalogue.configuration({"bucket": bucket, "msa_rows": rows, "precision": precision}).digest
        for bucket, rows, precision in values
    }
    assert len(digests) == 12


def test_a_renamed_knob_is_refused_with_its_present_name(catalogue: Catalogue) -> None:
    message = "knob 'bfloat16' was renamed: write precision=float32 instead of bfloat16=none, "
    with pytest.raises(UserError, match=message):
        catalogue.parse_setting("bfloat16=none")


def test_an_unknown_knob_is_refused_with_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="unknown knob 'alocator'; the nearest is 'allocator'"):
        catalogue.configuration({"alocator": "glibc"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("allocator", "jemaloc", "the nearest is 'jemalloc'"),
        ("precision", "float3", "the nearest is 'float32'"),
        ("xla_cpu_max_isa", "AVX3", "the nearest is 'AVX"),
        ("xla_cpu_opt_preset", "FAST_RUNTIME", "the nearest is 'CPU_OPT_PRESET_FAST_RUNTIME'"),
        ("xla_cpu_scheduler_type", "memory", "the nearest is 'CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),
        ("xla_cpu_experimental_ynn_fusion_type", "dot,eltwis", "the nearest is 'eltwise'"),
        ("xla_cpu_experimental_ynn_fusion_type", "dot,-reduce", "a sign before every type or"),
        ("xla_backend_optimization_level", "4", "a whole number, from 0 to 3"),
        ("xla_cpu_prefer_vector_width", "wide", "a whole number, from 64 to 2048"),
        ("xla_cpu_use_onednn", "maybe", "true or false"),
        ("cpus", "0", "all or a whole number, 1 or more"),
        ("cpus", "²", "all or a whole number, 1 or more"),
        ("bucket", "-3", "upstream, exact or a whole number, 1 or more"),
        ("bucket", "²", "upstream, exact or a whole number, 1 or more"),
        ("msa_rows", "0", "needed or a whole number, 1 or more"),
        ("msa_rows", "need", "the nearest is 'needed'"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_allowed(
    catalogue: Catalogue, name: str, value: str, message: str
) -> None:
    with pytest.raises(UserError, match=f"knob '{name}' cannot be") as refused:
        catalogue.configuration({name: value})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_fusion_types_may_be_named_or_added_and_removed(catalogue: Catalogue) -> None:
    knob = catalogue.knob("xla_cpu_experimental_ynn_fusion_type")
    assert knob.canonical("DOT,Reduce") == "dot,reduce"
    assert knob.canonical("+dot,-reduce") == "+dot,-reduce"
    assert knob.canonical("") == ""


def test_the_environment_is_that_of_the_settings(catalogue: Catalogue) -> None:
    configuration = catalogue.configuration(
        {
            "xla_cpu_use_onednn": "true",
            "xla_backend_optimization_level": "2",
            "cpus": "1",
            "allocator": "glibc-keep",
            "bucket": "exact",
        }
    )
    assert configuration.environment() == {
        "XLA_FLAGS": "--xla_backend_optimization_level=2 --xla_cpu_use_onednn=true",
        "PJRT_NPROC": "1",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "70368744177664",
    }
    assert configuration.overrides() == {"bucket": "exact"}


def test_stock_sets_nothing_and_is_bound_to_all_allowed_cpus() -> None:
    assert STOCK.environment() == {}
    assert STOCK.overrides() == {}
    assert STOCK.affinity() == tuple(sorted(os.sched_getaffinity(0)))


def test_affinity_is_the_first_cpus_that_are_allowed(catalogue: Catalogue) -> None:
    allowed = (3, 7, 11)
    assert catalogue.configuration({"cpus": "2"}).affinity(allowed) == (3, 7)
    with pytest.raises(UserError, match="4 CPUs are asked for, but only 3 are allowed here"):
        catalogue.configuration({"cpus": "4"}).affinity(allowed)


def test_one_knob_of_a_configuration_can_be_changed_and_set_back(catalogue: Catalogue) -> None:
    base = catalogue.configuration({"bucket": "exact"})
    changed = catalogue.changed(base, "msa_rows", "needed")
    assert changed.as_dict() == {"bucket": "exact", "msa_rows": "needed"}
    assert catalogue.changed(changed, "msa_rows", "1024") == base


def test_settings_are_parsed_from_the_command_line(catalogue: Catalogue) -> None:
    assert catalogue.parse_setting(" cpus = 01") == ("cpus", "1")
    assert parse_values("xla_flag=a=b") == ("xla_flag", "a=b")


@pytest.mark.parametrize("text", ["cpus", "=1", " =1", ""])
def test_a_setting_of_another_form_is_refused(catalogue: Catalogue, text: str) -> None:
    with pytest.raises(UserError, match="is not of the form NAME=VALUE"):
        catalogue.parse_setting(text)


def test_settings_of_each_layer_come_back_alone() -> None:
    configuration = Configuration((("a", "1"), ("b", "2")), (Layer.MODEL, Layer.XLA))
    assert configuration.of_layer(Layer.MODEL) == {"a": "1"}
    assert configuration.of_layer(Layer.XLA) == {"b": "2"}
    assert configuration.of_layer(Layer.CPUS) == {}
