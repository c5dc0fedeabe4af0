"""Records of trials whose times and bytes follow planted laws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perfkit.records.schema import Compilation, Record, WorkloadRecord
from tests.support.records_factory import make_record, make_stage

MEGABYTE = 1_000_000

FIDELITY = {"recycles": 0, "steps": 2, "samples": 5, "seeds": 1}
SETTINGS = {"bucket": "exact", "msa_rows": "needed"}

INVENTORY = """
currency = "CHF"
[[machine]]
name = "epyc"
count = 4
cores = 64
memory = "256GB"
numa = 2
speed = 1.5
price_per_hour = 2.5
watts = 350
time_limit = "24h"
partition = "long"
"""
"""An inventory with every key except ``calibration``."""


def trunk_s(n: int) -> float:
    return 0.5 + 0.01 * n + 1e-3 * n**2 + 2e-6 * n**3


def step_s(n: int, s: int) -> float:
    return 0.02 + 2e-4 * n**2 + s * 0.004 * n


def confidence_s(n: int, s: int) -> float:
    return 0.1 + 3e-5 * s * n**2


def compiled_bytes(n: int) -> int:
    return 100 * MEGABYTE + 8000 * n**2


def overhead_bytes(n: int) -> int:
    return 900 * MEGABYTE + 2 * MEGABYTE * n


def workload(size: int, samples: int = 5) -> WorkloadRecord:
    return WorkloadRecord(
        model="af3",
        name=f"synthetic-{size}",
        size=size,
        source={"size": size},
        fidelity={**FIDELITY, "samples": samples},
        input_digest=f"{size}",
        notices=[],
        digest=f"{size}-{samples}",
    )


def record(
    size: int,
    samples: int = 5,
    *,
    role: str = "parts",
    cpus: int = 2,
    noise: Callable[[], float] = lambda: 1.0,
    slower: float = 1.0,
    settings: dict[str, str] | None = None,
) -> Record:
    """A trial of ``size`` tokens on the planted laws.

    Parameters
    ----------
    noise
        Called once per part; returns a factor on its time.
    slower
        Factor on every time.
    """
    parts = {
        "trunk_pass": trunk_s(size) * noise() * slower,
        "diffusion_step": 2 * step_s(size, samples) * noise() * slower,
        "confidence": confidence_s(size, samples) * noise() * slower,
        "rest": (0.05 + 1e-5 * size**2) * noise() * slower,
    }
    whole = sum(parts.values())
    peak = compiled_bytes(size) + overhead_bytes(size)
    walls = [("import", 3.0), ("prepare", 0.5 + 0.01 * size), ("trace", 5.0), ("compile", 20.0)]
    walls += [("first", whole + 0.4), ("steady", whole), ("check", 0.1)]
    stages, clock_s = [], 0.0
    for name, wall_s in walls:
        stages.append(make_stage(name, clock_s, wall_s, peak_rss_bytes=peak))
        clock_s += wall_s
    return make_record(
        SETTINGS if settings is None else settings,
        role=role,
        identifier=f"{role}-{size}-{samples}-{cpus}",
        workload=workload(size, samples),
        stages=stages,
        allowed_cpus=cpus,
        part_times_s=parts,
        compilation=Compilation(
            cache="off",
            temporary_bytes=compiled_bytes(size) - 60 * MEGABYTE,
            argument_bytes=50 * MEGABYTE,
            output_bytes=10 * MEGABYTE,
            code_bytes=0,
            flops=0.0,
            bytes_accessed=0.0,
            parts={"trunk_pass": 1, "diffusion_step": 2, "confidence": 1},
        ),
        peak_rss_bytes=peak,
    )


SIZES = (16, 24, 32, 48, 64, 96)


def study(sizes: Sequence[int] = SIZES, **options: Any) -> list[Record]:
    """Trials at all sizes with five samples, and at three of the sizes with one sample.

    ``options`` are those of :func:`record`.
    """
    few = [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
    return [
        *(record(size, **options) for size in sizes),
        *(record(size, 1, **options) for size in few),
    ]
