"""Recording a sweep: which configurations, in which blocks, and what the records become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.recorded import RecordedConfiguration, RecordedSweep, StartSeconds
from benchmarks.recording import Recording, RecordingPlan
from benchmarks.replayed import ReplayRunner
from benchmarks.scripts.record_sweep import main
from benchmarks.sweep_design import factor_values, factorial, process_key, sample
from benchmarks.sweep_of_records import fastest, sweep_of
from benchmarks.virtual_trials import virtual_compilation, virtual_stage
from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.models.gencast.model import GenCast
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import Store
from tests.support.replay import Listener, WatchedRunner, dying, record
from tests.support.tiny_sweep import BOTH, PRECISION, WORKLOAD, tiny_sweep

MODEL = GenCast()
CATALOGUE = Catalogue(MODEL.knobs)
CHANGES = (
    (("precision", "bfloat16"), ("allocator", "glibc-keep")),
    (("precision", "bfloat16"),),
    (("precision", "bfloat16_network"),),
    (("allocator", "glibc-keep"),),
    (("cpus", "1"),),
)


@pytest.mark.parametrize(
    ("at_least", "values"),
    [
        (2, {"precision": ("bfloat16",)}),
        (3, {"precision": ("bfloat16", "bfloat16_network")}),
        # 3 values of the precision and 2 allocators.
        (
            6,
            {"precision": ("bfloat16", "bfloat16_network"), "allocator": ("glibc-keep",)},
        ),
        (
            1000,
            {
                "precision": ("bfloat16", "bfloat16_network"),
                "allocator": ("glibc-keep",),
                "cpus": ("1",),
            },
        ),
    ],
)
def test_the_most_promising_values_are_combined(
    at_least: int, values: dict[str, tuple[str, ...]]
) -> None:
    assert factor_values(CHANGES, at_least) == values


def test_a_factorial_has_every_combination_once() -> None:
    # The second value is the default, so that it adds no combination.
    found = factorial(CATALOGUE, {"precision": ("bfloat16", "float32"), "cpus": ("1",)})
    assert [one.as_dict() for one in found] == [
        {},
        {"cpus": "1"},
        {"precision": "bfloat16"},
        {"cpus": "1", "precision": "bfloat16"},
    ]


def test_a_sample_has_stock_and_all_single_changes() -> None:
    space = factorial(CATALOGUE, factor_values(CHANGES, 12))
    assert len(space) == 12
    chosen = sample(space, 7, seed=1)
    assert len(chosen) == 7
    assert chosen[0] == STOCK
    # Two precisions, one allocator and one number of CPUs.
    assert sum(len(one.settings) == 1 for one in chosen) == 4
    assert set(chosen) < set(space)
    assert chosen == sample(space, 7, seed=1)
    assert sample(space, 100) == space


def test_only_settings_of_one_compilation_and_of_the_model_share_a_process() -> None:
    values = {
        "xla_cpu_use_onednn": "true",
        "precision": "bfloat16",
        "xla_cpu_max_isa": "AVX2",
        "allocator": "glibc-keep",
        "cpus": "1",
    }
    keys = [process_key(CATALOGUE.configuration({name: values[name]})) for name in values]
    # XLA ignores a ceiling of the instruction set that comes with a single compilation.
    assert keys == [(), (), ("xla_cpu_max_isa=AVX2",), ("allocator=glibc-keep",), ("cpus=1",)]
    assert process_key(CATALOGUE.configuration(values)) == (
        "allocator=glibc-keep",
        "cpus=1",
        "xla_cpu_max_isa=AVX2",
    )


def _plan(
    folder: Path,
    budget_s: float = 1e6,
    sweep: RecordedSweep | None = None,
    *,
    shared_processes: bool = False,
    base: Configuration = STOCK,
) -> RecordingPlan:
    entries = (sweep or tiny_sweep()).configurations
    return RecordingPlan(
        model=MODEL,
        catalogue=CATALOGUE,
        workload=WORKLOAD,
        configurations=tuple(CATALOGUE.configuration(one.settings) for one in entries),
        store=Store(folder),
        rounds=2,
        block=2,
        budget_s=budget_s,
        shared_processes=shared_processes,
        base=base,
    )


def test_a_recording_of_replayed_trials_is_the_sweep_that_they_replay(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    recording = Recording(plan, ReplayRunner(tiny_sweep(), MODEL), Listener())
    recording.run()
    found = sweep_of(plan, recording.records())
    assert [one.settings for one in found.configurations] == [
        one.settings for one in tiny_sweep().configurations
    ]
    # Stock has two passes with the block of each process environment.
    assert [one.passes_s for one in found.configurations] == [
        pytest.approx([10.0] * 4),
        pytest.approx([5.0] * 2),
        pytest.approx([9.0] * 2),
        pytest.approx([4.0] * 2),
    ]
    assert [one.ratio for one in found.configurations] == pytest.approx([1.0, 0.5, 0.9, 0.4])
    assert {one.outcome for one in found.configurations} == {Outcome.OK}
    assert found.workload.digest == WORKLOAD.digest


def test_another_base_gives_the_same_ratios_to_stock(tmp_path: Path) -> None:
    base = CATALOGUE.configuration(BOTH)
    plan = _plan(tmp_path, base=base)
    recording = Recording(plan, ReplayRunner(tiny_sweep(), MODEL), Listener())
    recording.run()
    found = sweep_of(plan, recording.records())
    assert found.base == BOTH
    # Stock is measured once, and the base with every block.
    assert found.stock.passes_s == pytest.approx([10.0] * 2)
    assert found.by_settings[base.settings].passes_s == pytest.approx([4.0] * 4)
    assert [one.ratio for one in found.configurations] == pytest.approx([1.0, 0.5, 0.9, 0.4])
    assert found.stock.base_s == pytest.approx([10.0] * 2)
    again = WatchedRunner(sweep=tiny_sweep(), number=1000)
    Recording(plan, again, Listener()).run()
    assert again.opened == []


def test_the_fastest_get_more_rounds_and_keep_those_that_they_have(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    recording = Recording(plan, ReplayRunner(tiny_sweep(), MODEL), Listener())
    recording.run()
    short = fastest(plan, recording.records(), 2, rounds=5)
    assert [one.as_dict() for one in short] == [BOTH, PRECISION]
    assert fastest(plan, recording.records(), 2, rounds=2) == ()
    assert fastest(plan, recording.records(), 0, rounds=5) == ()
    refined = replace(plan, configurations=short, rounds=5)
    again = Recording(refined, ReplayRunner(tiny_sweep(), MODEL, number=1000), Listener())
    again.run()
    found = sweep_of(plan, again.records())
    rounds = {one.label: len(one.passes_s) for one in found.configurations[1:]}
    assert sorted(rounds.values()) == [2, 7, 7]
    assert fastest(plan, again.records(), 2, rounds=5) == ()


def test_the_noise_of_another_base_is_that_of_its_rounds() -> None:
    """The machine drifts: the base takes 4 s with one candidate, 8 s with the next."""
    sweep = tiny_sweep()
    drifting = [
        one.model_copy(update={"base_s": [level * 10.0, level * 10.1], "passes_s": own})
        for level, own, one in zip(
            (1.0, 2.0, 1.0, 1.0),
            ([10.0, 10.0], [10.0, 10.0], [9.0, 9.0], [4.0, 8.0]),
            sweep.configurations,
            strict=True,
        )
    ]
    moved = sweep.model_copy(update={"configurations": drifting, "base": BOTH})
    runner = ReplayRunner(moved, MODEL, seed=0)
    entry = moved.by_settings[CATALOGUE.configuration(BOTH).settings]
    seen = {runner.noise(entry) for _ in range(20)}
    assert max(seen) / min(seen) == pytest.approx(1.01)


def test_configurations_share_the_process_of_their_settings(tmp_path: Path) -> None:
    plan = _plan(tmp_path, shared_processes=True)
    runner = ReplayRunner(tiny_sweep(), MODEL)
    recording = Recording(plan, runner, Listener())
    recording.run()
    assert all(one.shared_process for one in recording.records())
    found = sweep_of(plan, recording.records())
    assert [one.ratio for one in found.configurations] == pytest.approx([1.0, 0.5, 0.9, 0.4])
    # The reference is stock and starts the first process: 6 + 4 + 10 + 0.5 for its check. Stock,
    # which is lowered already, takes 4 + 10 + 0.5 and four passes of 10 s. The other allocator
    # starts a process, and has the program of stock from the cache: 6 + 0.32 + 9 + 0.5 and two
    # passes of 9 s; both changes are lowered in it: 3 + 4 + 4 + 0.5 and 2 x 4 s. The precision is
    # lowered in the first process, with the program of both changes: 3 + 0.32 + 5 + 0.5 and
    # 2 x 5 s.
    assert runner.now_s() == pytest.approx(20.5 + 54.5 + 33.82 + 19.5 + 18.82)


def test_a_recording_resumes_and_measures_nothing_twice(tmp_path: Path) -> None:
    calls = WatchedRunner(sweep=tiny_sweep())
    Recording(_plan(tmp_path / "whole"), calls, Listener()).run()
    for at in range(1, calls.calls + 1):
        folder = tmp_path / str(at)
        interrupted = WatchedRunner(sweep=tiny_sweep(), interrupt_at=at)
        with pytest.raises(KeyboardInterrupt):
            Recording(_plan(folder), interrupted, Listener()).run()
        resumed = WatchedRunner(sweep=tiny_sweep(), number=interrupted.number)
        recording = Recording(_plan(folder), resumed, Listener())
        recording.run()
        found = sweep_of(_plan(folder), recording.records())
        assert [one.ratio for one in found.configurations] == pytest.approx([1.0, 0.5, 0.9, 0.4])
    again = WatchedRunner(sweep=tiny_sweep(), number=1000)
    Recording(_plan(tmp_path / "whole"), again, Listener()).run()
    assert again.opened == []


def test_a_recording_stops_when_its_budget_is_spent(tmp_path: Path) -> None:
    progress = Listener()
    runner = ReplayRunner(tiny_sweep(), MODEL)
    # The reference takes 20.5 s. The block of the two configurations with the other allocator
    # begins after that, and the block of the remaining one does not.
    Recording(_plan(tmp_path, budget_s=21.0), runner, progress).run()
    assert progress.said[-1] == (
        "the budget is spent, and configurations are missing (1); run the same command again to "
        "continue"
    )


def test_a_crash_is_repeated_once_and_then_recorded(tmp_path: Path) -> None:
    def table(
        role: Role, configuration: Configuration, recorded: RecordedConfiguration
    ) -> RecordedConfiguration:
        return dying(recorded, 0) if configuration.as_dict() == BOTH else recorded

    plan = _plan(tmp_path)
    for _ in range(3):
        runner = WatchedRunner(table, sweep=tiny_sweep(), number=len(plan.store.records()))
        recording = Recording(plan, runner, Listener())
        recording.run()
    found = sweep_of(plan, recording.records())
    assert found.configurations[-1].outcome is Outcome.CRASHED
    assert found.configurations[-1].passes_s == []
    crashed = [one for one in recording.records() if one.outcome is Outcome.CRASHED]
    assert len(crashed) == 2


def test_a_failing_stock_ends_the_recording(tmp_path: Path) -> None:
    def table(
        role: Role, configuration: Configuration, recorded: RecordedConfiguration
    ) -> RecordedConfiguration:
        fails = configuration == STOCK and role is not Role.REFERENCE
        return dying(recorded, 0) if fails else recorded

    runner = WatchedRunner(table, sweep=tiny_sweep())
    with pytest.raises(UserError, match="stock failed, so that nothing can be compared"):
        Recording(_plan(tmp_path), runner, Listener()).run()


def test_without_a_reference_nothing_is_recorded(tmp_path: Path) -> None:
    runner = WatchedRunner(
        lambda role, configuration, recorded: dying(recorded, 0), sweep=tiny_sweep()
    )
    with pytest.raises(UserError, match="the reference failed 2 times"):
        Recording(_plan(tmp_path), runner, Listener()).run()


def _shared(role: Role, settings: Mapping[str, str], seconds: Mapping[str, float]) -> Record:
    """A record of a block with these stages and one round of 1 s."""
    stages = [virtual_stage(name, wall_s) for name, wall_s in seconds.items()]
    own = record(
        settings,
        times={0: 1.0},
        role=role,
        block="one",
        id=f"{role}-{len(settings)}",
        compilation=virtual_compilation({"denoiser_call": 3}),
    )
    return own.model_copy(update={"stages": [*stages, *own.stages]})


def test_what_a_shared_process_skips_is_not_averaged(tmp_path: Path) -> None:
    # The reference starts the process and compiles the program that stock uses too.
    whole = {"import": 3.0, "prepare": 2.0, "trace": 1.0, "compile": 4.0, "check": 0.01}
    skipped = {"import": 0.001, "prepare": 0.0, "trace": 0.0, "compile": 0.0, "check": 0.03}
    records = [
        _shared(Role.REFERENCE, {}, whole),
        _shared(Role.BASE, {}, skipped),
        _shared(Role.SWEEP, PRECISION, skipped | {"compile": 5.0, "check": 0.02}),
    ]
    found = sweep_of(_plan(tmp_path), records)
    assert found.starts == StartSeconds(process_s=3.0, prepare_s=2.0, lower_s=1.0, check_s=0.02)
    assert [one.compile_s for one in found.configurations] == [4.0, 5.0]


def test_the_script_refuses_an_unknown_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "gencast", "--option", "tokens=3", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "gencast has no option 'tokens'; it has input, resolution" in capsys.readouterr().err


def test_the_script_refuses_a_bad_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "gencast", "--option", "resolution=fine", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "option resolution of gencast takes a float, not 'fine'" in capsys.readouterr().err
