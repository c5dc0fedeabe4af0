"""Why a value cannot be used on a machine."""

from __future__ import annotations

import pytest

from perfkit.knobs.availability import why_not_here
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.knob import Host

HOST = Host(frozenset({"avx2"}), 2, frozenset({"glibc", "glibc-keep"}))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("allocator", "glibc", None),
        ("allocator", "glibc-keep", None),
        (
            "allocator",
            "tcmalloc",
            "allocator 'tcmalloc' is not installed on this machine; install the Debian package "
            "libtcmalloc-minimal4 (apt install libtcmalloc-minimal4)",
        ),
        ("cpus", "all", None),
        ("cpus", "1", None),
        ("cpus", "2", "this process may use 2 CPUs, as by default"),
        ("cpus", "3", "this process may use 2 CPUs, not 3"),
        (
            "xla_cpu_prefer_vector_width",
            "512",
            "it makes no difference on this CPU without avx512f",
        ),
        ("xla_cpu_max_isa", "AVX2", "it makes no difference on this CPU without avx512f"),
        # No search tries this value, so nothing is known about its use.
        ("xla_cpu_max_isa", "AVX", None),
        ("xla_cpu_use_onednn", "true", None),
        ("xla_cpu_enable_fast_math", "true", None),
    ],
)
def test_reasons(name: str, value: str, reason: str | None) -> None:
    assert why_not_here(Catalogue().knob(name), value, HOST) == reason
