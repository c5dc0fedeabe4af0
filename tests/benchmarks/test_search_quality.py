"""How soon a strategy is near the optimum of a sweep, worked out by hand on a tiny one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.recorded import write_sweep
from benchmarks.replayed import ReplayedPass
from benchmarks.scripts.strategies import main
from benchmarks.search_quality import near_optimum_s, quality_of
from perfkit.knobs.configuration import Catalogue
from perfkit.models.gencast.model import GenCast
from perfkit.records.schema import Outcome
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.strategy import Budget, Decision, Screen, SearchSpace, Stop
from tests.support.strategies import EveryRound
from tests.support.tiny_sweep import BOTH, PRECISION, STOCK, entry, tiny_sweep

CATALOGUE = Catalogue(GenCast().knobs)


def _passes(*passed: tuple[float, Mapping[str, str], float]) -> list[ReplayedPass]:
    return [
        ReplayedPass(at_s, CATALOGUE.configuration(settings), "full", wall_s)
        for at_s, settings, wall_s in passed
    ]


def test_the_optimum_is_reached_with_its_first_pass() -> None:
    # 5 s are 25 % above the optimum of 4 s.
    passes = _passes((10.0, STOCK, 10.0), (20.0, PRECISION, 5.0), (30.0, BOTH, 4.0))
    assert near_optimum_s(passes, tiny_sweep(), 0.05) == 30.0
    assert near_optimum_s(passes, tiny_sweep(), 0.25) == 20.0


def test_a_search_that_is_misled_later_has_not_arrived() -> None:
    # One quick pass makes the precision alone look best, until its median shows otherwise.
    passes = _passes(
        (10.0, BOTH, 4.0), (20.0, PRECISION, 3.0), (30.0, PRECISION, 5.0), (40.0, PRECISION, 6.0)
    )
    assert near_optimum_s(passes[:2], tiny_sweep(), 0.05) == math.inf
    # At 30 s, the median of 3 s and 5 s equals 4 s, and the first of equals counts.
    assert near_optimum_s(passes, tiny_sweep(), 0.05) == 30.0


def test_a_wrong_answer_never_looks_best() -> None:
    wrong = entry(BOTH, (4.0, 4.0), outcome=Outcome.DISAGREES)
    sweep = tiny_sweep([*tiny_sweep().configurations[:3], wrong])
    passes = _passes((10.0, BOTH, 4.0), (20.0, PRECISION, 5.0))
    assert near_optimum_s(passes, sweep, 0.01) == 20.0


class Straight(EveryRound):
    """Screens both changes together for two rounds, and stops."""

    name = "straight"

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """The screening, once."""
        stock, both = (space.catalogue.configuration(one) for one in (STOCK, BOTH))
        if evidence.screened(stock.digest, both.digest):
            return Stop()
        return Screen(stock, (both,), rounds_most=2)


def test_the_share_of_the_exhaustive_cost_adds_up() -> None:
    quality = quality_of(tiny_sweep(), Straight, range(3), rounds=2)
    # See the test of the exhaustive cost.
    assert quality.exhaustive_s == pytest.approx(112.64)
    # The references of both depths are stock: a start of 6 s, a compilation of 4 s, a first pass of
    # 10 s and a check of 0.5 s each. The candidate has another allocator, so that stock starts
    # anew, with its program from the cache, which takes 8 % of a compilation: 6 + 0.32 + 10 s to
    # its first pass, and 6 + 4 + 4 s for the candidate. The first round takes 10 s for stock and
    # 4 s for the candidate, which looks best from then on.
    share = pytest.approx((2 * 20.5 + 16.32 + 14.0 + 14.0) / 112.64)
    assert quality.shares == {"0.05": share, "0.02": share, "0.01": share}
    assert quality.reached == {"0.05": 3, "0.02": 3, "0.01": 3}
    assert (quality.strategy, quality.measured) == ("straight", 2)


def test_the_script_prints_a_table_and_writes_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "tiny.json.xz"
    write_sweep(sweep, tiny_sweep())
    options = ["--seeds", "2", "--workers", "1", "--strategy", "coordinate-ascent", "--rounds", "2"]
    assert main([str(sweep), *options, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "### gencast, tiny, full depth" in printed
    assert "4 configurations; exhaustive cost 113 s; median of 2 studies; in brackets" in printed
    assert "| strategy | within 5% | within 2% | within 1% | configurations measured |" in printed
    assert (tmp_path / "strategies.md").read_text().strip() == printed.strip()
    (quality,) = json.loads((tmp_path / "strategies.json").read_text())
    assert (quality["strategy"], quality["seeds"]) == ("coordinate-ascent", 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.json.xz"], "none.json.xz cannot be read"),
        (["--strategy", "coordinate-descent"], "unknown strategy 'coordinate-descent'"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    sweep = tmp_path / "tiny.json.xz"
    write_sweep(sweep, tiny_sweep())
    assert main([str(sweep), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_sample_alone_cannot_be_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sample.json.xz"
    write_sweep(sweep, tiny_sweep([*tiny_sweep().configurations[:2], entry(BOTH, (4.0, 4.0))]))
    assert main([str(sweep)]) == 2
    assert "cannot be searched" in capsys.readouterr().err
