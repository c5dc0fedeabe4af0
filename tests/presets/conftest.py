"""Presets and machines with values that are easy to compute with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from perfkit.knobs.knob import Host
from perfkit.presets.nearness import Here
from perfkit.records.findings import MachineRecord

AVX512 = ("avx2", "avx512f", "avx512_bf16")
SETTINGS = {"allocator": "glibc-keep", "bucket": "exact", "xla_cpu_prefer_vector_width": "512"}
VERSIONS = {"python": "3.12.0", "jaxlib": "0.7.0"}

type WritePreset = Callable[..., Path]


def make_here(
    *,
    instruction_sets: tuple[str, ...] = AVX512,
    cpus: int = 2,
    cpu: str = "AMD EPYC",
    family: str = "25",
    model: str = "17",
    allocators: frozenset[str] = frozenset({"glibc", "glibc-keep"}),
    versions: Mapping[str, str | None] = VERSIONS,
) -> Here:
    """A machine, by default one like that of the written presets."""
    return Here(
        Host(frozenset(instruction_sets), cpus, allocators),
        MachineRecord(cpu=cpu, cpu_family=family, cpu_model=model),
        versions,
    )


@pytest.fixture
def write_preset(tmp_path: Path) -> WritePreset:
    """Write a preset measured with 76 tokens on two CPUs of an AMD EPYC, and return its path."""

    def write(
        path: str,
        settings: Mapping[str, str] = SETTINGS,
        *,
        model: str = "af3",
        machine: Mapping[str, Any] | None = None,
        **measured: Any,
    ) -> Path:
        there = {
            "cpu": "AMD EPYC",
            "cpu_family": "25",
            "cpu_model": "17",
            "instruction_sets": list(AVX512),
            "logical_cpus": 2,
        }
        table = {
            "size": 76,
            "speedup": 2.0,
            "speedup_interval": [1.9, 2.1],
            "machine": there if machine is None else dict(machine),
            "versions": dict(VERSIONS),
            **measured,
        }
        data = {"format": 1, "model": model, "knobs": dict(settings), "measured": table}
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(tomli_w.dumps(data))
        return file

    return write
