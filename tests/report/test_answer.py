"""The first screen: commands, stock and recommended next to each other, and the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.records.schema import Compilation, Outcome, Record
from perfkit.report.study.answer import (
    commands,
    machine_verdict,
    peak_memory_bytes,
    sides_table,
)
from perfkit.report.study.production import stored_extrapolations, tolerances_of
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.extrapolate import Extrapolation, Part
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.side_by_side.instances import Instances
from tests.support.records_factory import MACHINE, make_record, make_workload

FIDELITY = {"recycles": 10}
EXTRAPOLATIONS = (
    Extrapolation(
        "stock", (Part("trunk_pass", 60.0, 11),), FIDELITY, Interval(660.0, None, None, 1), None
    ),
    Extrapolation(
        "allocator=jemalloc bucket=exact",
        (Part("trunk_pass", 30.0, 11),),
        FIDELITY,
        Interval(330.0, 300.0, 363.0, 6),
        None,
    ),
)


@pytest.fixture
def ranking(study: list[Record]) -> Recommendation:
    return recommend(study)


def test_there_is_a_command_for_any_program_for_the_own_script_and_for_slurm(
    ranking: Recommendation,
) -> None:
    preset = Path("my results/preset.toml")
    any_program, own, slurm = commands(preset, "af3", ranking.best, 3_500_000_000)
    prefix = "perfkit exec --preset 'my results/preset.toml' --"
    assert any_program.text == f"{prefix} CMD"
    assert own.text.startswith(f"{prefix} python run_alphafold.py --json_path=")
    # 3.5 GB and a fifth are 3.91 GiB.
    assert slurm.text.startswith("sbatch --cpus-per-task=2 --mem=4G --wrap 'perfkit exec ")
    assert "3.5 GB" in slurm.note


def test_a_model_of_another_package_has_no_script_of_its_own(ranking: Recommendation) -> None:
    found = commands(Path("p.toml"), "other", ranking.best, 0)
    assert [one.purpose for one in found] == ["Any command under the preset", "As a job of Slurm"]
    assert "--mem" not in found[-1].text
    assert commands(None, "af3", ranking.best, 0) == ()
    assert commands(Path("p.toml"), "af3", ranking.stock, 0) == ()


def test_each_of_several_instances_is_a_command_on_this_machine_and_a_job_of_slurm(
    ranking: Recommendation,
) -> None:
    two = Instances(2, 1, (90.0,) * 6, 5_000_000_000)
    any_program, own, slurm = commands(Path("p.toml"), "af3", ranking.best, 3_500_000_000, two)
    assert any_program.text == "perfkit exec --preset p.toml --instance 1/2 -- CMD"
    assert any_program.purpose.endswith("as one of 2 instances of 1 CPU")
    assert "--instance 2/2" in any_program.note
    assert own.text.startswith("perfkit exec --preset p.toml --instance 1/2 -- python ")
    # 5 GB and a fifth are 5.59 GiB.
    assert slurm.text.startswith(
        "sbatch --cpus-per-task=1 --mem=6G --wrap 'perfkit exec --preset p.toml -- python "
    )
    of_stock = commands(Path("p.toml"), "af3", ranking.stock, 0, two)
    assert of_stock[0].text == any_program.text


def test_stock_and_recommended_stand_next_to_each_other(
    study: list[Record], ranking: Recommendation
) -> None:
    table = sides_table(study, ranking, EXTRAPOLATIONS)
    assert table is not None
    assert table.headers == ("", "stock", "recommended", "")
    assert table.rows[:4] == (
        (
            "one pass",
            "4.00 s [4.00, 4.00]",
            "2.00 s [2.00, 2.00]",
            "2.00x [2.00, 2.00] as fast",
        ),
        (
            "production prediction",
            "11 min",
            "5 min 30 s [5 min, 6 min 3 s]",
            "2.00x as fast",
        ),
        ("peak memory", "3.0 GB", "3.5 GB", "1.17x"),
        ("agreement (distance)", "float32 (0.0012)", "float32 (0.0012)", "-"),
    )


def test_stock_alone_has_one_column() -> None:
    records = [make_record()]
    table = sides_table(records, recommend(records), ())
    assert table is not None
    assert (table.heading, table.headers) == ("Stock", ("", "stock"))
    assert all(len(row) == 2 for row in table.rows)


def test_memory_is_that_of_the_largest_trial_at_any_fidelity(
    study: list[Record], ranking: Recommendation
) -> None:
    best = ranking.best
    assert best is not None
    longer = make_record(best.settings, role="check", peak_rss_bytes=5_000_000_000)
    failed = make_record(
        best.settings, peak_rss_bytes=9_000_000_000, outcome=Outcome.CRASHED, reason="killed"
    )
    assert peak_memory_bytes([*study, longer, failed], best) == 5_000_000_000


def test_the_machine_will_do_if_the_largest_trial_leaves_room(
    study: list[Record], ranking: Recommendation
) -> None:
    assert machine_verdict(study, ranking, EXTRAPOLATIONS) == (
        "This machine (Test CPU, 2 CPUs, 16.0 GB) will do: the largest trial needed 3.5 GB, and a "
        "production prediction takes about 5 min 30 s [5 min, 6 min 3 s]."
    )


def test_a_control_group_limits_the_memory(study: list[Record], ranking: Recommendation) -> None:
    machine = {**MACHINE, "cgroup_memory_max": "4000000000"}
    limited = [*study, make_record(machine=machine, role="check", created="2026-01-03T00:00:00Z")]
    assert machine_verdict(limited, ranking, ()) == (
        "This machine (Test CPU, 2 CPUs, 4.0 GB) just does: the largest trial needed 3.5 GB."
    )


def test_stock_that_runs_out_of_memory_does_not_fit() -> None:
    records = [make_record(outcome=Outcome.OUT_OF_MEMORY, reason="killed", steady_s=[])]
    assert machine_verdict(records, recommend(records), ()) == (
        "This machine does not do: stock ran out of its 16.0 GB of memory."
    )


def test_production_times_come_from_the_records_alone(study: list[Record]) -> None:
    compilation = Compilation(
        cache="off",
        temporary_bytes=0,
        argument_bytes=0,
        output_bytes=0,
        code_bytes=0,
        flops=0.0,
        bytes_accessed=0.0,
        parts={"trunk_pass": 1, "diffusion_step": 2, "confidence": 1},
    )
    parts = make_record(
        role="parts",
        block=None,
        workload=make_workload(fidelity={"recycles": 0, "steps": 2, "samples": 5, "seeds": 1}),
        steady_s=[5.0],
        compilation=compilation,
        part_times_s={"trunk_pass": 3.0, "diffusion_step": 1.0, "confidence": 0.5, "rest": 0.5},
    )
    ranking = recommend(study)
    (found,) = stored_extrapolations([*study, parts], ranking)
    # AlphaFold 3 runs 11 trunk passes, 200 diffusion steps and one confidence pass.
    assert found.total.median == pytest.approx(11 * 3.0 + 200 * 0.5 + 0.5 + 0.5)
    assert found.fidelity == {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}
    assert stored_extrapolations(study, ranking) == ()


def test_a_model_that_is_not_installed_has_no_production_times(study: list[Record]) -> None:
    workload = make_workload().model_copy(update={"model": "gone"})
    parts = make_record(role="parts", workload=workload, part_times_s={"a": 1.0})
    assert stored_extrapolations([parts], recommend(study)) == ()
    assert tolerances_of("gone") == {}


def test_a_recommendation_of_stock_shows_no_gain(study: list[Record]) -> None:
    found = recommend(study)
    table = sides_table(study, replace(found, best=found.stock), ())
    assert table is not None
    assert table.headers == ("", "stock")
