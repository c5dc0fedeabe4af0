"""The comparison of shallow and full speed-ups: ratios, correlation and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration, write_sweep
from benchmarks.scripts.shallow_ratios import Ratios, main, markdown, ratios_of, summarise
from perfkit.errors import UserError
from perfkit.models.depth import Blocks
from perfkit.records.depths import SHALLOW_DEPTH
from tests.support.tiny_sweep import ALLOCATOR, BOTH, PRECISION, STOCK, WORKLOAD, entry, tiny_sweep

ROWS = [
    Ratios(label="a", full=1.0, shallow=1.1, weighted=1.0),
    Ratios(label="b", full=2.0, shallow=1.0, weighted=1.9),
    Ratios(label="c", full=4.0, shallow=4.4, weighted=4.0),
    Ratios(label="d", full=4.0, shallow=4.0, weighted=None),
]

STACKS = {"transformer": Blocks(shallow=4, full=16)}

SHALLOW = replace(WORKLOAD, depth=SHALLOW_DEPTH)


def _traced(
    settings: Mapping[str, str], pass_s: float, transformer_s: float
) -> RecordedConfiguration:
    """A pass of the shallow network with the seconds of its transformer."""
    parts = {"transformer": transformer_s, "rest": pass_s - transformer_s}
    return entry(settings, (pass_s, pass_s)).model_copy(update={"part_times_s": parts})


def test_stacks_are_scaled_to_the_blocks_of_the_full_network() -> None:
    shallow = tiny_sweep(
        [_traced(STOCK, 10.0, 2.0), _traced(PRECISION, 5.0, 1.0), _traced(ALLOCATOR, 9.0, 1.0)],
        SHALLOW,
    )
    full = tiny_sweep()
    first, second = ratios_of(shallow, full, STACKS)
    # A full pass of stock: 4 x 2 s + 8 s. With the precision 4 x 1 + 4, the allocator 4 x 1 + 8.
    assert (first.shallow, first.full) == pytest.approx((2.0, 2.0))
    assert first.weighted == pytest.approx(16.0 / 8.0)
    assert (second.shallow, second.full) == pytest.approx((10.0 / 9.0, 10.0 / 9.0))
    assert second.weighted == pytest.approx(16.0 / 12.0)


def test_configurations_of_one_sweep_and_missing_traces_are_left_out() -> None:
    shallow = tiny_sweep([entry(STOCK, (10.0, 10.0)), entry(BOTH, (4.0, 4.0))], SHALLOW)
    (row,) = ratios_of(shallow, tiny_sweep(), STACKS)
    assert (row.shallow, row.weighted, row.full) == (2.5, None, 2.5)


def test_sweeps_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(UserError, match="expected a sweep of shallow depth"):
        ratios_of(tiny_sweep(), tiny_sweep(), STACKS)
    other = tiny_sweep(workload=replace(SHALLOW, input_digest="4567"))
    with pytest.raises(UserError, match="different inputs"):
        ratios_of(other, tiny_sweep(), STACKS)
    alone = tiny_sweep([entry(STOCK, (10.0, 10.0))], SHALLOW)
    with pytest.raises(UserError, match="no measured configuration in common"):
        ratios_of(alone, tiny_sweep(), STACKS)


def test_predictions_are_judged_by_their_ranks_and_their_largest_error() -> None:
    plain, weighted = summarise(ROWS[:3])
    # Ranks 2 1 3 instead of 1 2 3: 1 - 6 * 2 / (3 * 8).
    assert plain.rank_correlation == pytest.approx(0.5)
    # 1.0 instead of 2.0.
    assert plain.worst_error == pytest.approx(0.5)
    assert weighted.rank_correlation == pytest.approx(1.0)
    assert weighted.worst_error == pytest.approx(0.05)


def test_the_table_shows_which_prediction_a_configuration_has() -> None:
    lines = markdown("af3", ROWS).splitlines()
    assert "| c | 4.000 | 4.400 | 4.000 |" in lines
    assert "| d | 4.000 | 4.000 |  |" in lines
    assert "| stacks scaled | 3 | 1.000 | 5.0% |" in lines


def test_one_configuration_has_no_rank() -> None:
    assert summarise(ROWS[:1]) == []


def test_the_script_writes_the_table_and_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shallow, full = tmp_path / "shallow.json.xz", tmp_path / "full.json.xz"
    write_sweep(shallow, tiny_sweep(workload=SHALLOW))
    write_sweep(full, tiny_sweep())
    assert main([str(shallow), str(full), "--out", str(tmp_path)]) == 0
    assert "| whole shallow passes | 3 | 1.000 | 0.0% |" in capsys.readouterr().out
    assert (tmp_path / "ratios.md").read_text().startswith("# gencast, tiny, 684 grid nodes")
    assert main([str(full), str(full)]) == 2
    assert "expected a sweep of shallow depth" in capsys.readouterr().err
