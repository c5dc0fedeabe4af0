"""The tuner on replayed trials: what it finds, what it costs, how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from perfkit.tune.known import wins
from perfkit.tune.tuner import Tuner
from replay import WORKLOAD, Behaviour, Listener, ReplayRunner, roles

from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.af3.model import AlphaFold3
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from perfkit.tune import tuner as tuner_module
from perfkit.tune.recommend import direct_ratios
from perfkit.tune.study_plan import StudyPlan

STOCK_S = 30.0
FACTORS = {
    ("bucket", "exact"): 0.5,
    ("msa_rows", "needed"): 0.8,
    ("atom_slots", "needed"): 1.0,
    ("bfloat16", "none"): 1.5,
    ("allocator", "glibc-keep"): 0.7,
    ("xla_cpu_use_onednn", "true"): 0.9,
    ("xla_cpu_use_xnnpack", "false"): 1.1,
    ("parameters", "constants"): 0.5,
}
SEARCHED = [
    ("allocator", "glibc-keep"),
    ("xla_cpu_use_onednn", "true"),
    ("parameters", "constants"),
    ("xla_cpu_use_xnnpack", "false"),
]
PLANTED = {
    "bucket": "exact",
    "msa_rows": "needed",
    "atom_slots": "needed",
    "allocator": "glibc-keep",
    "xla_cpu_use_onednn": "true",
}
"""The fastest of those that agree: 30 s x 0.5 x 0.8 x 0.7 x 0.9 = 7.56 s."""

AMPLE_S = 100_000.0
AMPLE_BYTES = 1e15


def planted(configuration: Configuration) -> Behaviour:
    """Each knob has its factor; baked-in parameters are fast and wrong."""
    seconds = STOCK_S
    for setting in configuration.settings:
        seconds *= FACTORS[setting]
    wrong = configuration.as_dict().get("parameters") == "constants"
    return Behaviour(seconds, Outcome.DISAGREES if wrong else Outcome.OK)


@pytest.fixture(autouse=True)
def _fixed_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search does not depend on the machine that the tests run on."""
    monkeypatch.setattr(tuner_module, "search_settings", lambda catalogue: SEARCHED)


def _tuner(
    folder: Path, runner: ReplayRunner, budget_s: float = AMPLE_S, *, extrapolate: bool = True
) -> Tuner:
    model = AlphaFold3()
    catalogue, store = Catalogue(model.knobs), Store(folder)
    plan = StudyPlan(model, catalogue, WORKLOAD, store, budget_s, AMPLE_BYTES, extrapolate)
    return Tuner(plan, runner, Listener())


def test_the_planted_best_combination_is_found(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, ReplayRunner(planted))
    tuner.run()
    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == PLANTED
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(30.0 / 7.56)
    assert best.time_s is not None
    assert best.time_s.median == pytest.approx(7.56)


SMALL_GAINS = {
    ("xla_cpu_use_xnnpack", "false"): 0.96,
    ("allocator", "jemalloc"): 0.96,
    ("allocator", "tcmalloc"): 0.98,
    ("xla_cpu_use_onednn", "true"): 1.1,
}
WIDE_VECTORS = ("xla_cpu_prefer_vector_width", "512")
NOISE = (1.06, 1.0, 1.0, 1.06, 1.0)
"""Two passes of five are slower than stock's, whatever a gain of 4 % says."""


def _small_gains(configuration: Configuration) -> Behaviour:
    seconds = 3.0
    for setting in configuration.settings:
        seconds *= SMALL_GAINS.get(setting, 0.96 if setting == WIDE_VECTORS else 1.1)
    alone = len(configuration.settings) == 1
    return Behaviour(seconds, noise=NOISE if alone else (1.0,))


def test_small_gains_that_are_not_sure_alone_are_tried_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner_module, "search_settings", lambda catalogue: list(SMALL_GAINS))
    tuner = _tuner(tmp_path, ReplayRunner(_small_gains))
    tuner.run()
    for setting in SMALL_GAINS:
        alone = Configuration((setting,))
        ratio = direct_ratios(tuner.records())[STOCK.digest, alone.digest]
        assert not wins(ratio)
    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == {"xla_cpu_use_xnnpack": "false", "allocator": "jemalloc"}


def test_what_wins_a_little_everywhere_is_tried_together_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = [WIDE_VECTORS, ("allocator", "jemalloc"), ("allocator", "tcmalloc")]
    monkeypatch.setattr(tuner_module, "search_settings", lambda catalogue: searched)
    runner = ReplayRunner(_small_gains)
    tuner = _tuner(tmp_path, runner, extrapolate=False)
    tuner.run()
    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == dict(searched[:2])
    assert Configuration((WIDE_VECTORS,)) not in [
        configuration for _, configuration in runner.opened
    ]


def test_a_small_gain_alone_is_not_tried_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = [("allocator", "jemalloc"), ("xla_cpu_use_onednn", "true")]
    monkeypatch.setattr(tuner_module, "search_settings", lambda catalogue: searched)
    runner = ReplayRunner(_small_gains)
    _tuner(tmp_path, runner, extrapolate=False).run()
    allocators = [c for _, c in runner.opened if "allocator" in c.as_dict()]
    assert len(allocators) == 1


def test_what_disagrees_is_screened_but_never_combined(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, ReplayRunner(planted))
    tuner.run()
    wrong = [r for r in tuner.records() if "parameters" in r.configuration.settings]
    assert [r.role for r in wrong] == ["screen"]
    assert wrong[0].outcome is Outcome.DISAGREES


def test_the_finalists_are_confirmed_against_stock_in_interleaved_rounds(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, ReplayRunner(planted))
    tuner.run()
    stock = next(r for r in roles(tuner.records(), "base") if not r.configuration.settings)
    stock_rounds = {stage.round for stage in stock.steady}
    best = next(r for r in tuner.records() if r.configuration.settings == PLANTED)
    before = {name: value for name, value in PLANTED.items() if name != "xla_cpu_use_onednn"}
    runner_up = next(
        r for r in roles(tuner.records(), "confirm") if r.configuration.settings == before
    )
    for finalist in (best, runner_up):
        assert finalist.block == stock.block
        assert len({stage.round for stage in finalist.steady} & stock_rounds) >= 3


def test_parts_are_measured_for_the_best_and_for_stock_and_checked(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, ReplayRunner(planted))
    tuner.run()
    parts = roles(tuner.records(), "parts")
    assert [r.configuration.settings for r in parts] == [PLANTED, {}]
    assert all(r.part_times_s for r in parts)
    (check,) = roles(tuner.records(), "check")
    assert check.configuration.settings == PLANTED
    assert check.workload.fidelity["steps"] == 10


@pytest.mark.parametrize("budget_s", [500.0, 700.0, 1000.0, 1500.0, 3000.0])
def test_a_tuning_stays_within_its_budget(tmp_path: Path, budget_s: float) -> None:
    runner = ReplayRunner(planted)
    begin_s = runner.now_s()
    tuner = _tuner(tmp_path, runner, budget_s)
    tuner.run()
    assert runner.now_s() - begin_s <= budget_s
    assert tuner.recommendation().best is not None


def test_a_finished_tuning_costs_nothing_to_repeat(tmp_path: Path) -> None:
    first = ReplayRunner(planted)
    _tuner(tmp_path, first).run()
    again = ReplayRunner(planted)
    tuner = _tuner(tmp_path, again)
    tuner.run()
    assert again.opened == []
    assert tuner.recommendation().best is not None


def test_a_larger_budget_goes_on_with_what_was_left(tmp_path: Path) -> None:
    short = _tuner(tmp_path, ReplayRunner(planted), 300.0, extrapolate=False)
    short.run()
    tried = {frozenset(r.configuration.settings.items()) for r in short.records()}
    assert frozenset(PLANTED.items()) not in tried

    tuner = _tuner(tmp_path, ReplayRunner(planted, number=100), AMPLE_S, extrapolate=False)
    tuner.run()

    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == PLANTED


def _calls_of_a_whole_run(folder: Path) -> int:
    runner = ReplayRunner(planted)
    _tuner(folder, runner).run()
    return runner.calls


@pytest.mark.parametrize("first", [1, 4, 7, 10])
def test_a_tuning_resumes_wherever_it_was_interrupted(tmp_path: Path, first: int) -> None:
    calls = _calls_of_a_whole_run(tmp_path / "whole")
    for at in range(first, calls + 1, 12):
        folder = tmp_path / str(at)
        runner = ReplayRunner(planted, interrupt_at=at)
        tuner = _tuner(folder, runner)
        with pytest.raises(KeyboardInterrupt):
            tuner.run()
        known = tuner.records()
        resumed = ReplayRunner(planted, number=runner.number)
        tuner = _tuner(folder, resumed)
        tuner.run()
        best = tuner.recommendation().best
        assert best is not None
        assert best.settings == PLANTED, at
        _nothing_known_was_measured_again(known, resumed, at)


def _nothing_known_was_measured_again(known: list[Record], resumed: ReplayRunner, at: int) -> None:
    screened = roles(known, "screen")
    done = {r.configuration.digest for r in screened if r.outcome is Outcome.OK}
    compared = {other for _, other in direct_ratios(known) if other in done}
    again = {c.digest for role, c in resumed.opened if role == "screen"}
    assert not again & compared, at
    for role in ("reference", "parts", "check"):
        ended = {
            r.configuration.digest
            for r in roles(known, role)
            if r.outcome is not Outcome.INTERRUPTED
        }
        assert not ended & {c.digest for opened, c in resumed.opened if opened == role}, at


def test_stock_that_crashes_ends_the_tuning_honestly(tmp_path: Path) -> None:
    def table(configuration: Configuration) -> Behaviour:
        return Behaviour(30.0, dies_after=0) if configuration == STOCK else planted(configuration)

    tuner = _tuner(tmp_path, ReplayRunner(table))
    tuner.run()
    found = tuner.recommendation()
    assert found.best is None
    assert "stock ended crashed" in found.sentence
    assert not roles(tuner.records(), "screen")


def test_nothing_more_is_screened_on_a_base_that_has_died(tmp_path: Path) -> None:
    def table(configuration: Configuration) -> Behaviour:
        return Behaviour(30.0, dies_after=1) if configuration == STOCK else planted(configuration)

    tuner = _tuner(tmp_path, ReplayRunner(table))
    tuner.run()
    on_stock, *on_base = roles(tuner.records(), "screen")
    own = ("bucket", "msa_rows", "atom_slots")
    assert on_stock.configuration.settings == {name: PLANTED[name] for name in own}
    assert on_base
    assert all(r.configuration.settings["bucket"] == "exact" for r in on_base)


def test_where_nothing_is_faster_stock_is_recommended(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, ReplayRunner(lambda configuration: Behaviour(30.0)))
    tuner.run()
    found = tuner.recommendation()
    assert found.best is found.stock
    assert found.sentence == "Stay with stock: nothing was surely faster at an equal answer."


def test_a_candidate_that_crashes_is_left_out_and_not_tried_again(tmp_path: Path) -> None:
    def table(configuration: Configuration) -> Behaviour:
        if configuration.as_dict().get("allocator") == "glibc-keep":
            return Behaviour(1.0, dies_after=1)
        return planted(configuration)

    _tuner(tmp_path, ReplayRunner(table), extrapolate=False).run()
    again = ReplayRunner(table)
    tuner = _tuner(tmp_path, again, extrapolate=False)
    tuner.run()
    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == {k: v for k, v in PLANTED.items() if k != "allocator"}
    assert "screen" not in [role for role, _ in again.opened]


def test_a_short_budget_still_confirms_against_stock_itself(tmp_path: Path) -> None:
    runner = ReplayRunner(planted)
    tuner = _tuner(tmp_path, runner, 500.0)
    tuner.run()
    best = tuner.recommendation().best
    assert best is not None
    direct = direct_ratios(tuner.records())[STOCK.digest, best.digest]
    assert direct.count >= 3
    assert direct == best.speedup


def test_trials_that_do_not_fit_side_by_side_are_still_compared_in_turns(tmp_path: Path) -> None:
    model = AlphaFold3()
    one_byte = StudyPlan(
        model, Catalogue(model.knobs), WORKLOAD, Store(tmp_path), AMPLE_S, 1.0, extrapolate=False
    )
    tuner = Tuner(one_byte, ReplayRunner(planted), Listener())
    tuner.run()
    best = tuner.recommendation().best
    assert best is not None
    assert best.settings == PLANTED
    assert best.speedup is not None
    assert best.speedup.median == pytest.approx(30.0 / 7.56)
