"""XLA:CPU flags that perfkit knows: their parsers, stock values and values worth trying.

Stock values, allowed values and the remarks on them hold for jaxlib 0.12.0.1.

A flag is an option of a single compilation if flag and option give the same program, as
``tests/trial/test_same_program.py`` shows. ``xla_cpu_max_isa`` is accepted as an option and
ignored. ``xla_cpu_use_xnnpack`` changes no program that was tried, so nothing shows that the two
are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from perfkit.knobs.knob import Bundle, CompilerOption, Host, Knob, Layer, Search
from perfkit.knobs.parsers import Parser, allows, boolean, one_of, whole_number

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
"""Values of ``xla_cpu_max_isa``, narrowest first, from the flag's help."""

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
"""Any other value of these flags aborts the process that XLA runs in."""

_FILES = re.compile(r"xla_(enable_)?dump|_(dirs?|files?|paths?|to|from)(_|$)")
"""Part of the names of flags that choose files or folders, such as ``xla_dump_to``."""


def names_file(flag: str) -> bool:
    """Whether the value of a flag is the name of a file or a folder, or makes XLA write files."""
    return _FILES.search(flag) is not None


def _flag(
    name: str,
    default: str,
    parse: Parser,
    summary: str,
    search: Search | None = None,
    *,
    exact: bool = True,
    option: Callable[[str], CompilerOption | None] | None = None,
) -> Knob:
    return Knob(name, default, Layer.XLA, exact, summary, parse, search, option)


def _is_true(value: str) -> bool:
    return value == "true"


def _with(instruction_set: str) -> Callable[[str, Host], bool]:
    return lambda value, host: instruction_set in host.instruction_sets


@allows(f"empty, or {', '.join(ISA_CEILINGS)}")
def _isa(value: str) -> str:
    return value if value == "" else one_of(*ISA_CEILINGS)(value)


@allows(f"empty, or a list of {', '.join(YNN_FUSION_TYPES)}; signs + and - change the default")
def _fusion_types(value: str) -> str:
    """Names, which replace the default list, or names with signs, which change it."""
    items = value.lower().split(",") if value else []
    for item in items:
        one_of(*YNN_FUSION_TYPES)(item.removeprefix("+").removeprefix("-"))
    if len({item.startswith(("+", "-")) for item in items}) > 1:
        raise ValueError("it takes a sign before every type or before none")
    return ",".join(items)


def _fusion_types_option(value: str) -> str | None:
    """The names of XLA's enumeration; None for names with signs, which change XLA's default."""
    names = value.split(",")
    if any(name.startswith(("+", "-")) for name in names):
        return None
    return ",".join(f"LIBRARY_FUSION_TYPE_{name.upper()}" for name in names)


KNOWN_FLAGS: tuple[Knob, ...] = (
    _flag(
        "xla_cpu_prefer_vector_width",
        "256",
        whole_number(64, 2048),
        "width in bits of the vectors that LLVM prefers",
        Search(("512",), order=10, bundle=Bundle.MINOR, useful=_with("avx512f")),
        option=int,
    ),
    _flag(
        "xla_cpu_use_onednn",
        "false",
        boolean,
        "matrix products and convolutions through oneDNN thunks",
        Search(("true",), order=50),
        option=_is_true,
    ),
    _flag(
        "xla_cpu_use_xnnpack",
        "true",
        boolean,
        "supported operations through XNNPACK",
        Search(("false",), order=70),
    ),
    _flag(
        "xla_cpu_experimental_ynn_fusion_type",
        "",
        _fusion_types,
        "operations that are fused for the YNN library",
        Search(("invalid", "dot,eltwise,reduce"), order=30),
        option=_fusion_types_option,
    ),
    _flag(
        "xla_backend_optimization_level",
        "3",
        whole_number(0, 3),
        "LLVM's optimisation level",
        Search(("2", "1"), order=80),
        option=int,
    ),
    _flag(
        "xla_cpu_max_isa",
        "",
        _isa,
        "newest instruction set that LLVM may use",
        # A ceiling makes a difference only where the CPU has something above it.
        Search(("AVX2",), order=100, useful=_with("avx512f")),
    ),
    _flag(
        "xla_cpu_opt_preset",
        "CPU_OPT_PRESET_DEFAULT",
        one_of(*(f"CPU_OPT_PRESET_{name}" for name in OPT_PRESETS)),
        "XLA:CPU's own bundle of settings",
        Search(("CPU_OPT_PRESET_FAST_RUNTIME",), order=110),
        option=str,
    ),
    _flag(
        "xla_cpu_scheduler_type",
        "CPU_SCHEDULER_TYPE_DEFAULT",
        one_of(*(f"CPU_SCHEDULER_TYPE_{name}" for name in SCHEDULERS)),
        "order in which XLA:CPU runs its thunks",
        option=str,
    ),
    _flag(
        "xla_cpu_parallel_codegen_split_count",
        "32",
        whole_number(1, 1024),
        "parts into which a module is split for compilation",
    ),
    _flag(
        "xla_allow_excess_precision",
        "true",
        boolean,
        "bfloat16 intermediate results may stay in float32",
        option=_is_true,
    ),
    _flag(
        "xla_cpu_enable_fast_math",
        "false",
        boolean,
        "assume no NaN and no infinity: measured only when set by name",
        exact=False,
        option=_is_true,
    ),
)

_OPTIONS = {knob.name: knob.option for knob in KNOWN_FLAGS if knob.option is not None}


def compiler_options(flags: Mapping[str, str]) -> dict[str, CompilerOption]:
    """The flags that one compilation can be given, by name.

    Parameters
    ----------
    flags
        Canonical value by name of the flag. Flags that apply to a whole process are left out.

    Returns
    -------
    dict
        Values as ``compiler_options`` of JAX's ``compile`` takes them, sorted by name.
    """
    options = {name: _OPTIONS[name](flags[name]) for name in sorted(flags) if name in _OPTIONS}
    return {name: option for name, option in options.items() if option is not None}
