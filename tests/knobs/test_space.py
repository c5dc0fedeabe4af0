"""Search spaces, grids and lists of configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs import allocators, cpus, space
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.models.af3.knobs import KNOBS
from perfkit.records.findings import MachineRecord


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(KNOBS)


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight CPUs with AVX-512 and all allocators."""
    monkeypatch.setattr(
        space, "fingerprint", lambda: MachineRecord(instruction_sets=["avx2", "avx512f"])
    )
    monkeypatch.setattr(allocators, "is_available", lambda name: True)
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: tuple(range(8)))


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One CPU without AVX-512, glibc only."""
    monkeypatch.setattr(space, "fingerprint", lambda: MachineRecord(instruction_sets=["avx2"]))
    monkeypatch.setattr(allocators, "is_available", lambda name: name.startswith("glibc"))
    monkeypatch.setattr(cpus, "allowed_cpus", lambda: (0,))


def test_the_best_value_of_each_knob_comes_before_the_second_of_any(
    catalogue: Catalogue, large_machine: None
) -> None:
    settings = space.search_settings(catalogue)
    names = [name for name, _ in settings]
    assert settings[:3] == [
        ("xla_cpu_prefer_vector_width", "512"),
        ("allocator", "jemalloc-hugepages"),
        ("xla_cpu_experimental_ynn_fusion_type", "invalid"),
    ]
    knobs = len(set(names))
    assert len(set(names[:knobs])) == knobs
    assert len(set(settings)) == len(settings)


def test_what_can_make_no_difference_here_is_not_searched(
    catalogue: Catalogue, small_machine: None
) -> None:
    settings = space.search_settings(catalogue)
    assert ("xla_cpu_prefer_vector_width", "512") not in settings
    assert ("xla_cpu_max_isa", "AVX2") not in settings
    assert ("cpus", "1") not in settings
    assert {value for name, value in settings if name == "allocator"} == {
        "glibc-keep",
        "glibc-hugepages",
    }


def test_fast_math_is_never_searched(catalogue: Catalogue, large_machine: None) -> None:
    assert "xla_cpu_enable_fast_math" not in dict(space.search_settings(catalogue))


def test_every_searched_setting_is_possible(catalogue: Catalogue, large_machine: None) -> None:
    for name, value in space.search_settings(catalogue):
        assert catalogue.configuration({name: value}).as_dict() == {name: value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpus=1,2", ("cpus", ["1", "2"])),
        ("cpus= 01 , all", ("cpus", ["1", "all"])),
        (
            "xla_cpu_experimental_ynn_fusion_type=;dot,reduce",
            ("xla_cpu_experimental_ynn_fusion_type", ["", "dot,reduce"]),
        ),
        ("bucket=exact", ("bucket", ["exact"])),
    ],
)
def test_values_of_a_knob_are_parsed(
    catalogue: Catalogue, text: str, expected: tuple[str, list[str]]
) -> None:
    assert space.parse_knob_values(catalogue, text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cpus=1,01", "given the same value twice"),
        ("cpu=1", "the nearest is 'cpus'"),
        ("cpus=1,", "cannot be ''"),
        ("cpus", "not of the form NAME=VALUE"),
    ],
)
def test_impossible_values_of_a_knob_are_refused(
    catalogue: Catalogue, text: str, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        space.parse_knob_values(catalogue, text)


def test_a_grid_is_every_combination_with_the_last_knob_fastest(catalogue: Catalogue) -> None:
    found = space.grid(catalogue, {"bucket": ["upstream", "exact"], "cpus": ["all", "1"]})
    assert [one.as_dict() for one in found] == [
        {},
        {"cpus": "1"},
        {"bucket": "exact"},
        {"bucket": "exact", "cpus": "1"},
    ]
    assert space.grid(catalogue, {}) == [STOCK]


def test_a_list_of_configurations_is_read_from_toml(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text(
        "[[configuration]]\n"
        "[[configuration]]\ncpus = 1\nxla_cpu_use_onednn = true\n"
        "[[configuration]]\nxla_cpu_use_onednn = 'yes'\ncpus = '1'\n"
        "[[configuration]]\nbucket = 'exact'\n"
    )
    found = space.read_configurations(catalogue, path)
    assert [one.as_dict() for one in found] == [
        {},
        {"cpus": "1", "xla_cpu_use_onednn": "true"},
        {"bucket": "exact"},
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        (b"[[configuration", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"", r"holds no list of tables \[\[configuration\]\]"),
        (b"configuration = 3", r"holds no list of tables \[\[configuration\]\]"),
        (b"configuration = [1]", r"holds no list of tables \[\[configuration\]\]"),
        (b"[[configuration]]\ncpsu = 1", "the nearest is 'cpus'"),
        (b"[[configuration]]\ncpus = 1.5", "cannot be '1.5'"),
    ],
)
def test_a_bad_list_is_refused(
    catalogue: Catalogue, tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "list.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=told):
        space.read_configurations(catalogue, path)
