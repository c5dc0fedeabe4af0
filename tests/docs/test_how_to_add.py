"""The code on the page *How to add* runs against the package as it is."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import make_plan
from perfkit.cluster.place import JobState, Options, Place, Submission
from perfkit.errors import UserError
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.knob import Knob, Layer, Search
from perfkit.knobs.parsers import one_of
from perfkit.models.costs import Job
from perfkit.observers.observer import Finding, ObservedRun
from perfkit.records.store import Store
from perfkit.tuning.choice.recommend import recommend
from perfkit.tuning.goals.goal import Goal
from perfkit.tuning.search.strategy import SearchSpace
from perfkit.tuning.studies.study import Study
from perfkit.tuning.studies.study_plan import StudyPlan
from tests.support.planted import study
from tests.support.processes import wait_for_end
from tests.support.records_factory import make_record, make_stage
from tests.support.replay import MODEL, RECORDED, Listener, WatchedRunner, roles

PAGE = Path(__file__).parents[2] / "docs" / "how-to-add.md"


def _block(begin: str) -> str:
    """The only Python block of the page that begins with a text."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(begin))
    return str(found)


def _names(begin: str, **given: Any) -> dict[str, Any]:
    """Execute a block of the page with the names that its file has; return its names."""
    # Classes that resolve annotations look their module up by this name.
    names: dict[str, Any] = {"__name__": __name__, **given}
    exec(compile(_block(begin), PAGE.name, "exec"), names)
    return names


def test_every_file_that_the_page_refers_to_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:perfkit|tests|benchmarks)/[\w/]+\.py)`", text))
    missing = {name for name in named if not (PAGE.parents[1] / name).exists()}
    # A reader writes these files.
    assert missing == {
        "perfkit/models/NAME/knobs.py",
        "perfkit/observers/switches.py",
        "perfkit/report/figures/faults.py",
        "perfkit/tuning/search/first_gain.py",
        "perfkit/tuning/goals/cpu_time.py",
        "perfkit/cluster/local.py",
        "perfkit/cluster/ssh_place.py",
    }


def test_the_knob_takes_its_two_values() -> None:
    names = _names("GRID_ORDER", Knob=Knob, Layer=Layer, Search=Search, one_of=one_of)
    knob: Knob = names["GRID_ORDER"]
    assert [knob.canonical(value) for value in ("rows", "blocks")] == ["rows", "blocks"]


def test_the_observer_counts_the_switches_of_all_stages() -> None:
    observer = _names('"""Context switches')["Switches"]()
    stages = [make_stage("first", 0.0, 1.0), make_stage("steady", 1.0, 1.0)]
    # Each stage of the factory has 10 voluntary switches.
    assert observer.results(ObservedRun(stages, None)) == Finding({"voluntary": 20})


def test_the_figure_has_a_bar_of_page_faults_per_trial() -> None:
    names = _names('"""Page faults')
    stages = [make_stage("first", 0.0, 1.0), make_stage("steady", 1.0, 1.0)]
    info = names["faults_info"]([make_record(stages=stages)])
    # Each stage of the factory has 100 minor faults.
    assert (info.labels, info.counts) == (("stock",), (200,))
    assert names["faults_figure"](info).data[0].x == (200,)


def test_the_strategy_confirms_the_first_gain(tmp_path: Path) -> None:
    strategy = _names('"""A search that confirms')["FirstGain"]()
    catalogue = Catalogue(MODEL.knobs)
    plan = StudyPlan(MODEL, catalogue, RECORDED, Store(tmp_path), 1e5, 1e15, extrapolate=False)
    changes = ((("precision", "bfloat16"),), (("precision", "bfloat16_network"),))
    measured = Study(plan, strategy, WatchedRunner(), Listener(), SearchSpace(catalogue, changes))
    measured.run()
    screened = {one.configuration.label for one in roles(measured.records(), "screen")}
    assert screened == {"precision=bfloat16"}
    best = measured.recommendation().best
    assert best is not None
    assert (best.settings, best.blocks) == ({"precision": "bfloat16"}, 6)


def test_the_objective_prefers_less_cpu_time_to_a_shorter_wall_time() -> None:
    objective = _names('"""The prediction with the least CPU time')["CpuTime"]()
    # CPU seconds of a pass: stock 4 * 1.8 = 7.2, the others 3 * 1.8 = 5.4 and 5 * 0.9 = 4.5.
    trials = [
        ({}, 4.0, 2, 1.8),
        ({"bucket": "exact"}, 3.0, 2, 1.8),
        ({"cpus": "1"}, 5.0, 1, 0.9),
    ]
    records = [
        make_record(
            settings,
            role="confirm",
            block=f"block-{number}",
            identifier=f"{label}-{number}",
            steady_s=[wall_s],
            allowed_cpus=cpus,
            cpu_share=share,
        )
        # The interval of the second finalist needs more pairs than that of the first.
        for number in range(12)
        for label, (settings, wall_s, cpus, share) in enumerate(trials)
    ]
    chosen = recommend(records, Goal(objective)).best
    fastest = recommend(records).best
    assert chosen is not None
    assert fastest is not None
    assert (chosen.label, fastest.label) == ("cpus=1", "bucket=exact")


@pytest.mark.parametrize("cached", [False, True])
def test_the_place_writes_a_script_that_runs_each_job_once(tmp_path: Path, cached: bool) -> None:
    jobs = [
        Job(name, "af3", 40, production("af3", steps=9), {"size": "40"}, "test")
        for name in ("one job", "../other")
    ]
    inventory = Inventory((Machine("node", 1, 2, 8000 * 2**20),), "EUR")
    plan = make_plan(jobs, inventory, [assemble(study())])
    script = _names('"""A plan as a shell script')["write_scripts"](tmp_path, plan, cached=cached)
    _, _, *commands = script.read_text().splitlines()
    words = [shlex.split(command) for command in commands]
    assert [one[one.index("--steps") + 1] for one in words] == ["9", "9"]
    assert [one[one.index("--passes") + 1] for one in words] == ["0", "0"]
    assert ["--compile-cache" in one for one in words] == [cached, cached]
    folders = {Path(one[one.index("--out") + 1]).parent for one in words}
    assert folders == {tmp_path / "results"}


def test_the_place_for_workers_starts_them_finds_them_and_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = _names('"""Workers on hosts')["SshPlace"]()
    monkeypatch.delenv("PERFKIT_HOSTS", raising=False)
    with pytest.raises(UserError, match="set PERFKIT_HOSTS"):
        place.check(Options())
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nexec sh -c "$3"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PERFKIT_HOSTS", "a b c")
    jobs = place.submit(Submission(("sleep", "60"), 2, tmp_path))
    assert [job.split(":")[0] for job in jobs] == ["a", "b"]
    assert [job.state for job in place.jobs(jobs)] == [JobState.RUNNING] * 2
    place.cancel(jobs)
    for job in jobs:
        wait_for_end(int(job.split(":")[1]))
    assert [job.state for job in place.jobs(jobs)] == [JobState.ENDED] * 2
