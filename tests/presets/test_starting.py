"""A search starts from known presets, as far as their values are worth trying here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.model import AlphaFold3
from perfkit.presets.nearness import Here
from perfkit.presets.starting import MOST, starting_points
from tests.presets.conftest import WritePreset, make_here

CATALOGUE = Catalogue(AlphaFold3().knobs)


def _starting(
    tmp_path: Path,
    here: Here,
    size: int = 76,
    store: str | None = "results",
    *,
    knobs: Sequence[str] | None = None,
    worth_trying: Callable[[str, str], bool] | None = None,
    most: int = MOST,
) -> list[dict[str, str]]:
    found = starting_points(
        "af3",
        size,
        here.host,
        CATALOGUE,
        None if store is None else tmp_path / store,
        knobs=knobs,
        worth_trying=worth_trying,
        machine=here.machine,
        versions=here.versions,
        shipped_folder=tmp_path / "data",
        most=most,
    )
    return [start.configuration.as_dict() for start in found]


def test_shipped_and_stored_presets_by_nearness(write_preset: WritePreset, tmp_path: Path) -> None:
    write_preset("data/af3/far.toml", {"bucket": "exact"}, size=300)
    write_preset("data/gencast/other.toml", {"grid_block": "1024"}, model="gencast")
    write_preset("results/x/preset.toml", {"msa_rows": "needed"}, size=80)
    assert _starting(tmp_path, make_here()) == [{"msa_rows": "needed"}, {"bucket": "exact"}]
    assert _starting(tmp_path, make_here(), 299) == [{"bucket": "exact"}, {"msa_rows": "needed"}]
    assert _starting(tmp_path, make_here(), store=None) == [{"bucket": "exact"}]
    assert _starting(tmp_path, make_here(), store="nothing") == [{"bucket": "exact"}]


def test_values_that_a_search_would_not_try_here_are_left_out(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    settings = {
        "allocator": "jemalloc",  # Not installed.
        "bucket": "exact",
        "msa_rows": "600",  # No search tries a number.
        "xla_cpu_prefer_vector_width": "512",  # Of no use without AVX-512.
        "xla_cpu_enable_fast_math": "true",  # Only when set by name.
    }
    write_preset("data/af3/one.toml", settings)
    assert _starting(tmp_path, make_here(instruction_sets=("avx2",))) == [{"bucket": "exact"}]


def test_equal_configurations_and_stock_are_left_out(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    write_preset("data/af3/one.toml", {"allocator": "jemalloc", "bucket": "exact"})
    write_preset("data/af3/two.toml", {"bucket": "exact"}, size=100)
    write_preset("data/af3/stock.toml", {})
    write_preset("data/af3/empty.toml", {"allocator": "jemalloc"})
    assert _starting(tmp_path, make_here()) == [{"bucket": "exact"}]


def test_a_search_of_some_knobs_starts_from_values_of_these_knobs(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    write_preset("data/af3/one.toml", {"bucket": "exact", "msa_rows": "needed"})
    assert _starting(tmp_path, make_here(), knobs=["msa_rows"]) == [{"msa_rows": "needed"}]
    assert _starting(tmp_path, make_here(), knobs=["allocator"]) == []


def test_model_values_that_make_no_difference_to_the_input_are_left_out(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    write_preset("data/af3/one.toml", {"bucket": "exact", "allocator": "glibc-keep"})
    found = _starting(tmp_path, make_here(), worth_trying=lambda name, value: False)
    assert found == [{"allocator": "glibc-keep"}]
    asked: list[tuple[str, str]] = []

    def all_are(name: str, value: str) -> bool:
        asked.append((name, value))
        return True

    both = [{"allocator": "glibc-keep", "bucket": "exact"}]
    assert _starting(tmp_path, make_here(), worth_trying=all_are) == both
    assert asked == [("bucket", "exact")]


def test_the_number_of_starting_points_is_limited(
    write_preset: WritePreset, tmp_path: Path
) -> None:
    for name, setting in (("a", "bucket"), ("b", "msa_rows"), ("c", "atom_slots")):
        value = "exact" if setting == "bucket" else "needed"
        write_preset(f"data/af3/{name}.toml", {setting: value}, size=76 + ord(name))
    assert _starting(tmp_path, make_here(), most=2) == [{"bucket": "exact"}, {"msa_rows": "needed"}]
