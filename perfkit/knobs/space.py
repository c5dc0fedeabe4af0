"""What is worth trying on this machine, and grids of configurations that a user asks for."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from perfkit.errors import UserError
from perfkit.knobs import allocators, cpus
from perfkit.knobs.configuration import Catalogue, Configuration, parse_values
from perfkit.records.machine import fingerprint

SEARCH_ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("xla_cpu_prefer_vector_width", ("512",)),
    ("allocator", ("jemalloc-hugepages", "tcmalloc", "jemalloc", "glibc-keep", "glibc-hugepages")),
    ("xla_cpu_experimental_ynn_fusion_type", ("invalid", "dot,eltwise,reduce")),
    ("bfloat16", ("none",)),
    ("xla_cpu_use_onednn", ("true",)),
    ("parameters", ("constants",)),
    ("xla_cpu_use_xnnpack", ("false",)),
    ("xla_backend_optimization_level", ("2", "1")),
    ("cpus", ("1",)),
    ("xla_cpu_max_isa", ("AVX2",)),
    ("xla_cpu_opt_preset", ("CPU_OPT_PRESET_FAST_RUNTIME",)),
)
"""Knobs beside those that change how much is computed, in the order of what they have been seen
to win; a short budget is spent from the top. A model that lacks one of them is not asked."""

_WIDTH_NEEDS = {"512": "avx512f"}
_ISA_NEEDS = {"AVX2": "avx512f"}
"""Instruction sets without which a value cannot make a difference: a ceiling needs something above
it to cut off."""


PROMISING = ("xla_cpu_prefer_vector_width", "allocator")
"""Knobs that won on every machine that perfkit was tuned on, a few per cent each."""


def promising(settings: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The first value of each of the :data:`PROMISING` knobs among what is worth trying."""
    first: dict[str, str] = {}
    for name, value in settings:
        if name in PROMISING:
            first.setdefault(name, value)
    return tuple(first.items())


def multiplies_bfloat16() -> bool:
    """Whether the CPU has products of bfloat16; without them float32 is the faster precision."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(fingerprint().instruction_sets)


def applies_here(name: str, value: str) -> bool:
    """Whether a value can make a difference on this machine."""
    sets = fingerprint().instruction_sets
    if name == "xla_cpu_prefer_vector_width":
        return _WIDTH_NEEDS.get(value, "") in ("", *sets)
    if name == "xla_cpu_max_isa":
        return _ISA_NEEDS.get(value, "") in ("", *sets)
    if name == allocators.ALLOCATOR_KNOB.name:
        return allocators.is_available(value)
    if name == cpus.CPUS_KNOB.name and value != cpus.ALL_CPUS:
        return int(value) < len(cpus.allowed_cpus())
    return True


def search_settings(catalogue: Catalogue) -> list[tuple[str, str]]:
    """Pairs of knob and value to screen on this machine, most promising first.

    The best value of each knob comes before the second one of any.
    """
    known = {knob.name for knob in catalogue}
    listed = [(name, values) for name, values in SEARCH_ORDER if name in known]
    usable = [
        [(name, value) for value in values if applies_here(name, value)] for name, values in listed
    ]
    ranks = itertools.zip_longest(*usable)
    return [setting for rank in ranks for setting in rank if setting is not None]


def parse_knob_values(catalogue: Catalogue, text: str) -> tuple[str, list[str]]:
    """Name and canonical values of ``NAME=V1,V2``, or ``NAME=V1;V2`` where values hold commas.

    Raises
    ------
    UserError
        Name or value is impossible, or a value is given twice.
    """
    name, listed = parse_values(text)
    knob = catalogue.knob(name)
    separator = ";" if ";" in listed else ","
    values = [knob.canonical(value) for value in listed.split(separator)]
    if len(set(values)) != len(values):
        raise UserError(f"knob {name!r} is given the same value twice: {listed}")
    return name, values


def grid(catalogue: Catalogue, axes: Mapping[str, Sequence[str]]) -> list[Configuration]:
    """Every combination of the values of ``axes``; neighbours differ in the last knob."""
    combinations = itertools.product(*axes.values())
    found = [
        catalogue.configuration(dict(zip(axes, values, strict=True))) for values in combinations
    ]
    return list(dict.fromkeys(found))


def read_configurations(catalogue: Catalogue, path: Path) -> list[Configuration]:
    """Configurations from a TOML file: a list of tables ``[[configuration]]`` of knob values.

    Raises
    ------
    UserError
        The file cannot be read or holds something else.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    tables = data.get("configuration")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise UserError(f"{path} holds no list of tables [[configuration]] with knob values")
    return list(dict.fromkeys(catalogue.configuration(_texts(table)) for table in tables))


def _texts(table: Mapping[str, object]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in table.items()
    }
