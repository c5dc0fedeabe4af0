"""Which machines can have native kernels, and why others cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.build.compiler import command_here, first_error, identified
from perfkit.kernels.build.levels import LEVEL_VARIABLE, chosen_level, levels_of, options_of

AVX2 = {"avx2", "fma", "f16c", "bmi2"}
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
AMX = {"amx_tile", "amx_bf16"}


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        (set(), ()),
        ({"avx2", "f16c", "bmi2"}, ()),
        (AVX2, ("avx2",)),
        (AVX2 | {"avx512f"}, ("avx2",)),
        (AVX2 | AVX512, ("avx2", "avx512")),
        (AVX2 | AVX512 | {"avx512_bf16"}, ("avx2", "avx512", "avx512_bf16")),
        (AVX2 | AVX512 | {"avx512_bf16"} | AMX, ("avx2", "avx512", "avx512_bf16", "amx")),
        (AVX2 | AVX512 | AMX, ("avx2", "avx512")),
    ],
)
def test_a_level_includes_the_lower_ones(flags: set[str], levels: tuple[str, ...]) -> None:
    assert levels_of(frozenset(flags)) == levels


def test_the_options_of_a_level_include_those_of_the_lower_ones() -> None:
    assert options_of("avx2") == ("-mavx2", "-mfma", "-mf16c", "-mbmi2")
    assert options_of("amx")[:4] == options_of("avx2")
    assert options_of("amx")[-2:] == ("-mamx-tile", "-mamx-bf16")


def test_a_wrong_level_is_refused() -> None:
    with pytest.raises(UserError, match="unknown value of PERFKIT_KERNELS_ISA 'avx52'"):
        chosen_level({LEVEL_VARIABLE: "avx52"})


def _program(folder: Path, name: str, text: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_compiler_that_the_user_names_is_the_only_candidate(tmp_path: Path) -> None:
    path = str(tmp_path)
    assert command_here({"PATH": path}) is None
    _program(tmp_path, "c++")
    assert command_here({"PATH": path}) == ("c++",)
    _program(tmp_path, "g++")
    assert command_here({"PATH": path}) == ("g++",)
    assert command_here({"PATH": path, "CXX": "g++ -B /opt"}) == ("g++", "-B", "/opt")
    assert command_here({"PATH": path, "CXX": "icpx"}) is None


def test_the_version_does_not_name_the_program(tmp_path: Path) -> None:
    for name in ("g++", "c++"):
        program = _program(tmp_path, name, f"echo '{name} (Debian 12.2.0-14) 12.2.0'")
        assert identified((str(program),)).version == "(Debian 12.2.0-14) 12.2.0"
    clang = _program(tmp_path, "clang++", "echo 'Debian clang version 14.0.6'; echo Target: x")
    assert identified((str(clang),)).version == "Debian clang version 14.0.6"


def test_no_compiler_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = why_no_kernels()
    assert reason is not None
    assert reason.startswith(("there is no C++ compiler", "the CPU has no "))


def test_output_without_an_error_line() -> None:
    assert first_error("\nKilled\n", 137) == "Killed"
    assert first_error("", 137) == "exit status 137"
