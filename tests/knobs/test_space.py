"""Grids and lists of configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs import space
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.models.af3.knobs import KNOBS


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(KNOBS)


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
    ("text", "message"),
    [
        ("cpus=1,01", "given the same value twice"),
        ("cpu=1", "the nearest is 'cpus'"),
        ("cpus=1,", "cannot be ''"),
        ("cpus", "not of the form NAME=VALUE"),
    ],
)
def test_impossible_values_of_a_knob_are_refused(
    catalogue: Catalogue, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
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
    ("content", "message"),
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
    catalogue: Catalogue, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "list.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        space.read_configurations(catalogue, path)


def test_a_search_space_is_read_from_toml(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        "[knobs]\n"
        "cpus = [1, '1']\n"
        "xla_cpu_use_onednn = true\n"
        "bucket = ['exact']\n"
        "xla_cpu_experimental_ynn_fusion_type = ['invalid', 'dot,eltwise']\n"
    )
    assert space.read_space(catalogue, path) == {
        "cpus": ["1"],
        "xla_cpu_use_onednn": ["true"],
        "bucket": ["exact"],
        "xla_cpu_experimental_ynn_fusion_type": ["invalid", "dot,eltwise"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"[knobs", "is not TOML"),
        (b"", r"has to hold one table \[knobs\]"),
        (b"[knobs]", r"has to hold one table \[knobs\]"),
        (b"[knobs]\ncpus = 1\n[other]", r"has to hold one table \[knobs\]"),
        (b"knobs = 3", r"has to hold one table \[knobs\]"),
        (b"[knobs]\ncpus = []", "'cpus' needs a list of values"),
        (b"[knobs]\ncpus = [[1]]", "'cpus' needs a list of values"),
        (b"[knobs.cpus]\nfirst = 1", "'cpus' needs a list of values"),
        (b"[knobs]\ncpsu = [1]", "the nearest is 'cpus'"),
        (b"[knobs]\ncpus = [1.5]", "cannot be '1.5'"),
    ],
)
def test_a_bad_search_space_is_refused(
    catalogue: Catalogue, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "space.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        space.read_space(catalogue, path)
