"""XLA:CPU flags with a parser, a stock value and values worth trying."""

from __future__ import annotations

from collections.abc import Callable

from perfkit.knobs.knob import Knob, Layer, boolean, one_of, whole_number

ISA_CEILINGS = (
    "SSE4_2",
    "AVX",
    "AVX2",
    "AVX512",
    "AVX512_VNNI",
    "AVX512_BF16",
    "AMX",
    "AMX_FP16",
    "AMX_FP8",
)
"""Values of ``xla_cpu_max_isa``, narrowest first (the flag's own help, jaxlib 0.12.0.1)."""


OPT_PRESETS = ("DEFAULT", "FAST_RUNTIME", "FAST_COMPILE")
SCHEDULERS = ("DEFAULT", "MEMORY_OPTIMIZED", "CONCURRENCY_OPTIMIZED")
YNN_FUSION_TYPES = (
    "invalid",
    "dot",
    "eltwise",
    "reduce",
    "individual_dot",
    "individual_convolution",
)
"""Other values of these flags make jaxlib 0.12.0.1 abort the process that it runs in."""


def _flag(
    name: str,
    default: str,
    values: tuple[str, ...],
    parse: Callable[[str], str],
    exact: bool,
    summary: str,
) -> Knob:
    return Knob(name, default, values, Layer.XLA, exact, summary, parse)


def _isa(value: str) -> str:
    return value if value == "" else one_of(*ISA_CEILINGS)(value)


def _fusion_types(value: str) -> str:
    """Either names, which replace the default list, or names with signs, which change it."""
    items = value.lower().split(",") if value else []
    for item in items:
        one_of(*YNN_FUSION_TYPES)(item.removeprefix("+").removeprefix("-"))
    if len({item.startswith(("+", "-")) for item in items}) > 1:
        raise ValueError("it takes a sign before every type or before none")
    return ",".join(items)


KNOWN_FLAGS: tuple[Knob, ...] = (
    _flag(
        "xla_cpu_prefer_vector_width",
        "256",
        ("256", "512"),
        whole_number(64, 2048),
        True,
        "width in bits of the vectors that LLVM prefers",
    ),
    _flag(
        "xla_cpu_use_onednn",
        "false",
        ("false", "true"),
        boolean,
        True,
        "matrix products and convolutions through oneDNN thunks",
    ),
    _flag(
        "xla_cpu_use_xnnpack",
        "true",
        ("true", "false"),
        boolean,
        True,
        "supported operations through XNNPACK",
    ),
    _flag(
        "xla_cpu_experimental_ynn_fusion_type",
        "",
        ("", "invalid", "dot,eltwise,reduce"),
        _fusion_types,
        True,
        "what is fused for the YNN library",
    ),
    _flag(
        "xla_backend_optimization_level",
        "3",
        ("3", "2", "1"),
        whole_number(0, 3),
        True,
        "LLVM's optimisation level",
    ),
    _flag(
        "xla_cpu_max_isa",
        "",
        ("", "AVX2"),
        _isa,
        True,
        "newest instruction set that LLVM may use",
    ),
    _flag(
        "xla_cpu_opt_preset",
        "CPU_OPT_PRESET_DEFAULT",
        ("CPU_OPT_PRESET_DEFAULT", "CPU_OPT_PRESET_FAST_RUNTIME"),
        one_of(*(f"CPU_OPT_PRESET_{name}" for name in OPT_PRESETS)),
        True,
        "XLA:CPU's own bundle of settings",
    ),
    _flag(
        "xla_cpu_scheduler_type",
        "CPU_SCHEDULER_TYPE_DEFAULT",
        ("CPU_SCHEDULER_TYPE_DEFAULT",),
        one_of(*(f"CPU_SCHEDULER_TYPE_{name}" for name in SCHEDULERS)),
        True,
        "order in which XLA:CPU runs its thunks",
    ),
    _flag(
        "xla_cpu_parallel_codegen_split_count",
        "32",
        ("32",),
        whole_number(1, 1024),
        True,
        "parts into which a module is split for compilation",
    ),
    _flag(
        "xla_allow_excess_precision",
        "true",
        ("true", "false"),
        boolean,
        True,
        "bfloat16 intermediate results may stay in float32",
    ),
    _flag(
        "xla_cpu_enable_fast_math",
        "false",
        ("false",),
        boolean,
        False,
        "assume no NaN and no infinity: measured only when asked for by name",
    ),
)
"""Flags with a parser, a stock value (jaxlib 0.12.0.1) and values worth trying."""
