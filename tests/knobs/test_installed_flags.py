"""The list of the installed jaxlib's flags is complete, and is read once for each build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from perfkit.errors import UserError
from perfkit.knobs.installed_flags import (
    Reply,
    cached_flags,
    flag_server,
    flags_among,
    flags_text,
    installed_flags,
    names_in,
)
from perfkit.paths import CACHE_VARIABLE
from tests.support.versions import NOT_IN_0_10


def test_flags_are_written_in_order_of_their_names() -> None:
    assert flags_text({"xla_b": "2", "xla_a": "x,y"}) == "--xla_a=x,y --xla_b=2"
    assert flags_text({}) == ""


@pytest.mark.parametrize(
    ("name", "stock"),
    [
        # Listed by --help.
        ("xla_cpu_prefer_vector_width", "256"),
        ("xla_cpu_opt_preset", "CPU_OPT_PRESET_DEFAULT"),
        ("xla_cpu_max_isa", ""),
        # Cut off by the log: a switch that is on and one that is off, numbers, texts, words.
        ("xla_allow_excess_precision", "true"),
        ("xla_gpu_dump_llvmir", "false"),
        ("xla_dump_max_hlo_modules", "-1"),
        ("xla_gpu_auto_spmd_partitioning_memory_budget_ratio", "1.1"),
        ("xla_dump_to", ""),
        ("xla_gpu_shape_checks", "RUNTIME"),
        pytest.param(
            "xla_gpu_pipeline_all_gather",
            "COLLECTIVE_PIPELINING_MODE_DEFAULT",
            marks=NOT_IN_0_10,
        ),
    ],
)
def test_flags_of_every_kind_are_found_with_their_stock_value(name: str, stock: str) -> None:
    pytest.importorskip("jaxlib", reason="flags are read from jaxlib")
    assert installed_flags()[name] == stock


def test_strings_of_jaxlib_that_are_no_flags_are_not_listed() -> None:
    pytest.importorskip("jaxlib", reason="flags are read from jaxlib")
    flags = installed_flags()
    assert len(flags) > 300
    # A Python attribute of DebugOptions, and the name of a keyword argument.
    assert not {"xla_detailed_logging", "xla_executable"} & flags.keys()


def test_names_are_zero_terminated_strings(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"\x7fELF\0xla_one\0no_xla_two2\0\x05xla_cut\x01xla_Not\0xla_end")
    assert names_in([library]) == {"xla_one", "xla_two2"}


HELP = """F1126 usage: --help
Flags:
\t--xla_first=true               \tbool\tA switch.
\t--xla_word="WORD_A"\tstring\tA word. Two ways to pass values:
  1. Exact names.
\t--xla_cut="WO"""

KINDS = {"xla_first": "bool", "xla_word": "word", "xla_cut": "word", "xla_path": "text"} | {
    "xla_off": "bool",
    "xla_number": "int",
    "xla_loud": "loud",
}


def _fake_jaxlib(text: str) -> Reply:
    """Parse flags as jaxlib does; words are refused in silence, loud ones by name."""
    if text == "--help":
        return Reply(False, "", HELP)
    given = dict(word.removeprefix("--").split("=") for word in text.split())
    log = []
    refused = False
    for name, value in given.items():
        kind = KINDS.get(name)
        bad = {
            "bool": value not in ("true", "false"),
            "int": not value.isdecimal(),
            "word": not value.startswith("WORD_"),
            "loud": value != "X",
        }.get(kind or "", False)
        refused = refused or bad
        if bad and kind in ("bool", "int"):
            log.append(f"E1126 Couldn't interpret value {value} for flag {name}.")
        if bad and kind == "loud":
            log.append(f"E1126 Illegal value for --{name}. Saw {value}.")
    unknown = [f"--{name}={value}" for name, value in given.items() if name not in KINDS]
    if unknown and not refused:
        log.append(f"F1126 Unknown flags in XLA_FLAGS: {' '.join(unknown)}")
    options = 'goo.gle/debugproto\nxla_cut: WORD_B\nxla_field: 3\nxla_many: A\nxla_path: "/a"\n'
    accepted = not refused and not unknown
    return Reply(accepted, options if accepted else "", "\n".join(log))


def test_jaxlib_decides_which_names_are_flags() -> None:
    strings = {f"xla_string_{number}" for number in range(40)}
    assert flags_among({*KINDS, *strings}, _fake_jaxlib) == {
        "xla_cut": "WORD_B",
        "xla_first": "true",
        "xla_loud": "",
        "xla_number": "0",
        "xla_off": "false",
        "xla_path": "/a",
        "xla_word": "WORD_A",
    }


def test_a_list_of_unknown_flags_that_the_log_cuts_is_continued() -> None:
    def jaxlib_with_a_short_log(text: str) -> Reply:
        reply = _fake_jaxlib(text)
        return Reply(
            reply.accepted, reply.output, reply.log if text == "--help" else reply.log[:200]
        )

    strings = {f"xla_string_{number}" for number in range(40)}
    found = flags_among({*KINDS, *strings}, jaxlib_with_a_short_log)
    assert found.keys() == KINDS.keys()


def test_jaxlib_parses_each_text_in_a_process_that_ends() -> None:
    pytest.importorskip("jaxlib", reason="flags are read from jaxlib")
    before = set(psutil.Process().children(recursive=True))
    with flag_server() as ask:
        assert "Unknown flag in XLA_FLAGS: --xla_no_flag=1" in ask("--xla_no_flag=1").log
        accepted = ask("--xla_cpu_use_onednn=true")
        assert accepted.accepted
        assert "xla_cpu_use_onednn: true" in accepted.output
        assert len(set(psutil.Process().children(recursive=True)) - before) == 1
    assert set(psutil.Process().children(recursive=True)) <= before


def test_the_process_that_parses_flags_ends_with_an_interrupt() -> None:
    pytest.importorskip("jaxlib", reason="flags are read from jaxlib")
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt), flag_server():
        raise KeyboardInterrupt
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_process_that_cannot_parse_flags_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jaxlib.py").write_text("raise ImportError('a library is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        flag_server() as ask,
        pytest.raises(UserError, match=r"the process that parses them has ended; check that "),
    ):
        ask("")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


class _Reader:
    """Returns a list of two flags, and counts how often it is read."""

    flags: Mapping[str, str] = {"xla_cpu_new_switch": "false", "xla_cpu_new_word": ""}

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> Mapping[str, str]:
        self.reads += 1
        return self.flags


def test_each_build_of_one_version_has_its_own_list(cache: Path) -> None:
    read = _Reader()
    for build in ("9.9.9+one", "9.9.9+two", "9.9.9+two", "9.9.9+one"):
        assert cached_flags(build, read) == _Reader.flags
    assert read.reads == 2


def test_a_list_with_a_changed_letter_is_read_again(cache: Path) -> None:
    read = _Reader()
    cached_flags("9.9.9", read)
    (kept,) = (cache / "xla-flags").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"xla_cpu_new_word", b"xla_cpu_new_wore"))
    assert cached_flags("9.9.9", read) == _Reader.flags
    assert read.reads == 2


def test_an_absent_jaxlib_is_one_sentence(cache: Path) -> None:
    with pytest.raises(UserError, match="jaxlib is not installed"):
        cached_flags(None, _Reader())


def test_a_jaxlib_without_flags_is_refused(cache: Path) -> None:
    with pytest.raises(UserError, match=r"the XLA flags of jaxlib 9\.9\.9 cannot be read"):
        cached_flags("9.9.9", lambda: {})
