"""Measure the error of `perfkit plan` for both models, on runs that the fits have not seen.

Run it on an otherwise idle machine. It takes about half an hour on two CPUs and can be resumed:

    python -m benchmarks.scripts.plan_accuracy --out reports/plan-accuracy

It runs `perfkit plan fit` for AlphaFold 3 and GenCast with held-out sizes inside the range and up
to twice the largest size, one prediction of each model at full fidelity, and the planning of 10,000
jobs on 100 machines. Fits, pages and records stay in the folder; accuracy.json has the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.capacity.laws.assemble import accuracies
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.terms import features_of
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.stages import STARTUP_STAGES, StageName
from perfkit.records.store import Store
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.request import TrialLabels, TrialRequest

ROLE = Role.FULL_FIDELITY
AIMS = {
    ("time", "within"): 0.05,
    ("time", "beyond"): 0.10,
    ("memory", "within"): 0.03,
    ("memory", "beyond"): 0.05,
}
"""Target for the mean relative error."""

FULL_AIM = 0.05


@dataclass(frozen=True)
class Case:
    """Sizes to fit and to hold out, and the run at full fidelity.

    Attributes
    ----------
    full_size
        Size of the run at full fidelity, as a user writes it.
    full_fidelity
        Fidelity axes of that run.
    repeats
        Trials per size.
    """

    model: str
    knobs: dict[str, str]
    sizes: str
    held_out: str
    compiled: str
    full_size: str
    full_fidelity: dict[str, int]
    repeats: int


CASES = {
    "af3": Case(
        "af3",
        {"bucket": "exact", "msa_rows": "needed"},
        "16,24,32,48,64,96",
        "40,80,128,192",
        "128,192",
        "16",
        {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1},
        1,
    ),
    "gencast": Case(
        "gencast",
        {},
        "5,4,3,2.5,2,1.8",
        "4.5,3.6,2.25,1.5",
        "1.5",
        "3",
        {"levels": 20, "steps": 1, "members": 1},
        3,
    ),
}


def fitted(case: Case, folder: Path, rounds: int) -> ModelFit:
    """Run `perfkit plan fit`, which resumes, and load its fit."""
    command = [sys.executable, "-m", "perfkit", "plan", "fit", "--model", case.model]
    command += ["--sizes", case.sizes, "--held-out", case.held_out]
    command += ["--compile-sizes", case.compiled, "--rounds", str(rounds), "--out", str(folder)]
    command += ["--repeats", str(case.repeats)]
    for name, value in case.knobs.items():
        command += ["--knob", f"{name}={value}"]
    subprocess.run(command, check=True)
    return ModelFit.load(folder / "fit.json")


def full_run(case: Case, folder: Path) -> Record:
    """Record of one prediction at full fidelity, with the first pass only; measured once."""
    model = get_model(case.model)
    configuration = Catalogue(model.knobs).configuration(case.knobs)
    workload = model.resized(model.workload({}, {}), case.full_size)
    workload = workload.with_fidelity(**case.full_fidelity)
    store = Store(folder)
    for record in store.records():
        same = record.workload.digest == workload.digest and record.role == ROLE
        if same and record.outcome is Outcome.OK:
            return record
    request = TrialRequest(workload, configuration, folder, labels=TrialLabels(role=ROLE))
    record = run_trial(TrialProcess(request), 0)
    store.append(record)
    if record.outcome is not Outcome.OK:
        raise SystemExit(f"the full run of {case.model} ended {record.outcome}: {record.reason}")
    return record


def full_fidelity(case: Case, fit: ModelFit, record: Record) -> dict[str, Any]:
    """Predicted and measured time of the pass and of the whole run, and memory."""
    features = features_of(record.workload, record.configuration.settings)
    counts = {**get_model(case.model).part_counts(case.full_fidelity), "rest": 1}
    seconds = fit.seconds(features, counts)
    first = record.stage(StageName.FIRST)
    assert first is not None
    start = {name: seconds[name] for name in STARTUP_STAGES}
    passed = {
        name: each
        for name, each in seconds.items()
        if name not in (*STARTUP_STAGES, StageName.CHECK)
    }
    measured_start_s = sum(stage.wall_s for stage in record.stages if stage.name in STARTUP_STAGES)
    measured = {"pass": first.wall_s, "whole": first.wall_s + measured_start_s}
    figures: dict[str, Any] = {"size": case.full_size, "fidelity": case.full_fidelity}
    for name, parts in (("pass", passed), ("whole", passed | start)):
        predicted = fit.time_range(features, parts)
        figures[name] = {
            "predicted_s": predicted.value,
            "low_s": predicted.low,
            "high_s": predicted.high,
            "measured_s": measured[name],
            "error": predicted.value / measured[name] - 1,
            "aim": FULL_AIM,
        }
    memory = fit.memory_range(features, 1)
    peak = max(stage.peak_rss_bytes for stage in record.stages)
    figures["memory"] = {
        "predicted_bytes": memory.value,
        "measured_bytes": peak,
        "error": memory.value / peak - 1,
    }
    return figures


def judged(fit: ModelFit) -> list[dict[str, Any]]:
    """Errors and coverage by quantity and by range (within or beyond the fitted sizes)."""
    return [
        {**one._asdict(), "aim": AIMS[one.quantity, one.place]} for one in accuracies(fit.held_out)
    ]


def queue_seconds() -> list[str]:
    """Output of three timed plans of 10,000 jobs on 100 machines."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scripts.plan_queue", "--repeats", "3"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default="af3,gencast")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    inside = cases = 0
    for name in given.models.split(","):
        begin_s = time.monotonic()
        case, folder = CASES[name], given.out / name
        fit = fitted(case, folder, given.rounds)
        record = full_run(case, folder)
        figures[name] = {
            "machine": fit.machine,
            "versions": fit.versions,
            "held_out": judged(fit),
            "full_fidelity": full_fidelity(case, fit, record),
            "took_s": time.monotonic() - begin_s,
        }
        inside += sum(one.inside for one in fit.held_out)
        cases += len(fit.held_out)
    figures["interval"] = {"cases": cases, "inside": inside / cases if cases else None}
    figures["queue"] = queue_seconds()
    path = given.out / "accuracy.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in figures.items() if k in ("interval", "queue")}, indent=1))
    for name in given.models.split(","):
        print(name, json.dumps(figures[name]["held_out"], indent=1))
        print(name, json.dumps(figures[name]["full_fidelity"], indent=1))
    print(f"figures: {path}")


if __name__ == "__main__":
    main()
