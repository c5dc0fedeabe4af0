"""The kinds of files that perfkit reads without a model: presets, queues, records, results."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.calibration import calibrate
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.space import read_configurations, read_space
from perfkit.models import get_model
from perfkit.presets.known import read_known_preset
from perfkit.shared_study.plan import PLAN_NAME
from perfkit.tuning.foreign_runs.shown import FORMS
from tests.fuzz.attempt import Kind, World, command
from tests.fuzz.damage import damaged_json, damaged_lines, damaged_text
from tests.fuzz.pages import ensure_no_hostile_element
from tests.support.mutations import thinned
from tests.support.planted import INVENTORY, record, study

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"

CEILINGS = {"float32_flops_per_s": 1e11, "copy_bytes_per_s": 1e10}

JOBS = """name,tokens,grid,seeds,days,members
a,40,,2,,
b,,2,,1-12:00:00,8
"c,d",1000,,,,
"""

ONE_JOB = "name,tokens\na,40\n"

CALIBRATED = INVENTORY.replace("speed = 1.5", 'calibration = "calibration.toml"')

SPACE = """[knobs]
allocator = ["glibc", "jemalloc"]
bucket = ["exact", "256"]
xla_cpu_prefer_vector_width = [256, 512]
xla_cpu_use_onednn = false
"""

CONFIGURATIONS = """[[configuration]]
allocator = "jemalloc"
bucket = "exact"
[[configuration]]
xla_cpu_use_onednn = false
"""

UNIT = "0123456789ab"
STUDY_PLAN = {
    "version": 1,
    "kind": "sweep",
    "arguments": {"model": "af3", "sizes": [16]},
    "folder": "/",
    "units": [{"key": UNIT, "label": "16 tokens"}, {"key": "ba9876543210", "label": "32 tokens"}],
    "lease_s": 120.0,
    "most_lost": 5,
}
WORKER = {"name": "w1", "host": "node1", "pid": 77, "node": "n1", "job": "12_1"}

ASV_RESULT = {
    "version": 2,
    "commit_hash": "a" * 40,
    "env_name": "virtualenv-py3.12",
    "date": 86_400_000,
    "params": {"machine": "box", "cpu": "Test CPU", "python": "3.12"},
    "python": "3.12",
    "requirements": {},
    "env_vars": {},
    "result_columns": ["result", "params", "version", "started_at", "duration", "stats_ci_99_a",
                       "stats_ci_99_b", "stats_q_25", "stats_q_75", "number", "repeat", "samples"],
    "results": {
        "toy.time_steady": [
            [1.1, 2.1], [["1", "2"]], "1", 1, 1.0, [1.0, 2.0], [1.2, 2.2], [1.0, 2.0], [1.2, 2.2],
            [1, 1], [3, 3], [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2]],
        ],
        "toy.track_peakmem": [[1e9], [], "1"],
    },
    "durations": {},
}  # fmt: skip
ASV_BENCHMARKS = {
    "version": 2,
    "toy.time_steady": {"unit": "seconds", "params": [["1", "2"]]},
    "toy.track_peakmem": {"unit": "bytes", "params": []},
}


def _bytes(data: object) -> bytes:
    return json.dumps(data, indent=1).encode()


@functools.cache
def _fit() -> bytes:
    fit = assemble(study()).model_copy(update={"ceilings": CEILINGS})
    return fit.model_dump_json(indent=1).encode()


@functools.cache
def _calibration(folder: Path) -> bytes:
    path = folder / "calibration.toml"
    calibrate([record(32), record(32, role="cpus", cpus=1)], CEILINGS, None).save(path)
    # A checksum would refuse every change before anything else looks at it.
    return b"".join(
        line for line in path.read_bytes().splitlines(True) if not line.startswith(b"checksum")
    )


@functools.cache
def _records(name: str, lines: int) -> tuple[bytes, ...]:
    text = (REPORTS / name / "records-vm.jsonl").read_text(encoding="utf-8")
    return tuple(
        json.dumps(thinned(json.loads(line))).encode() for line in text.splitlines()[:lines]
    )


def _use_preset(world: World) -> None:
    read_known_preset(world.file)
    for form in FORMS:
        command("preset", "show", str(world.file), "--as", form)


def _catalogue() -> Catalogue:
    return Catalogue(get_model("af3").knobs)


def _use_space(world: World) -> None:
    read_space(_catalogue(), world.file)


def _use_configurations(world: World) -> None:
    read_configurations(_catalogue(), world.file)


def _plan(world: World) -> None:
    """Plan with the damaged file, and with intact ones in place of the others."""
    calibrated = world.file.name == "calibration.toml"
    paths = {}
    for option, name, content in (
        ("--jobs", "jobs.csv", ONE_JOB.encode()),
        ("--machines", "machines.toml", (CALIBRATED if calibrated else INVENTORY).encode()),
        ("--fit", "fit.json", _fit()),
    ):
        paths[option] = world.inputs / name
        if paths[option] != world.file:
            paths[option].write_bytes(content)
    words = [word for option, path in paths.items() for word in (option, str(path))]
    command("plan", "--keep-going", *words, "--out", str(world.out / "plan"))
    ensure_no_hostile_element(world.out / "plan" / "report.html")


def _report(world: World, folder: Path) -> None:
    page = world.out / "report.html"
    command("report", str(folder), "--html", str(page))
    ensure_no_hostile_element(page)


def _use_records(world: World) -> None:
    folder = world.inputs
    _report(world, folder)
    command("compare", str(folder), str(folder), "--json")


def _report_with_records(world: World) -> None:
    lines = _records("af3-256-amx", 3)
    (world.inputs / "records-host-1.jsonl").write_bytes(b"\n".join(lines))
    _report(world, world.inputs)


def _use_asv(world: World) -> None:
    results = world.inputs
    box = results / "box"
    box.mkdir(exist_ok=True)
    for path, content in (
        (results / "benchmarks.json", ASV_BENCHMARKS),
        (box / "machine.json", {"version": 1, "machine": "box"}),
        (box / "aaaaaaaa-virtualenv-py3.12.json", ASV_RESULT),
    ):
        if path != world.file:
            path.write_bytes(_bytes(content))
    _report(world, results)


def _use_shared(world: World) -> None:
    folder = world.inputs
    others = {
        PLAN_NAME: STUDY_PLAN,
        f"sharing/{UNIT}-1.lease": WORKER,
        "sharing/workers/w1.json": WORKER,
        "sharing/jobs/abc.json": {"place": "local", "jobs": ["node1:77-12345"]},
    }
    for name, content in others.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path != world.file:
            path.write_bytes(json.dumps(content).encode())
    command("status", str(folder), codes=(0, 1))
    command("status", str(folder), "--json", codes=(0, 1))


def _lease() -> bytes:
    return json.dumps(WORKER).encode() + b"\n000000000003\n" + b'{"released": "ended"}\n'


def _journal() -> bytes:
    line = json.loads(_records("af3-256-amx", 1)[0])
    stages = line.pop("stages")
    first = {"writer": {"host": "elsewhere", "pid": 1}, "record": {**line, "stages": []}}
    return b"\n".join(
        json.dumps(each).encode() for each in (first, *({"stage": s} for s in stages))
    )


def plain_kinds(folder: Path) -> tuple[Kind, ...]:
    """The kinds.

    Parameters
    ----------
    folder
        Folder for files that originals are made of.
    """
    presets = tuple(
        path.read_bytes() for path in sorted(ROOT.glob("perfkit/presets/data/*/*.toml"))
    )
    notes = (REPORTS / "af3-256-amx" / "study-26348455485d.json").read_bytes()
    known = {"0.12.0.1": {"right": 3, "total": 4, "wrong": ["sqrt"]}}
    records = tuple(
        b"\n".join(_records(name, 4)) for name in ("af3-ubiquitin", "gencast-1deg", "af3-256-amx")
    )
    return (
        Kind("preset", "preset.toml", presets, damaged_text, _use_preset),
        Kind("search space", "space.toml", (SPACE.encode(),), damaged_text, _use_space),
        Kind(
            "configurations",
            "list.toml",
            (CONFIGURATIONS.encode(),),
            damaged_text,
            _use_configurations,
        ),
        Kind(
            "jobs", "jobs.csv", (JOBS.encode(), ONE_JOB.encode()), damaged_text, _plan, draws=True
        ),
        Kind("machines", "machines.toml", (INVENTORY.encode(),), damaged_text, _plan),
        Kind("fit", "fit.json", (_fit(),), damaged_json, _plan),
        Kind(
            "calibration",
            "calibration.toml",
            (_calibration(folder),),
            damaged_text,
            _plan,
        ),
        Kind("records", "records-host-1.jsonl", records, damaged_lines, _use_records, draws=True),
        Kind(
            "notes of a study",
            "study-26348455485d.json",
            (notes,),
            damaged_json,
            _report_with_records,
        ),
        Kind(
            "known answers",
            "known-answers.json",
            (_bytes(known),),
            damaged_json,
            _report_with_records,
            draws=True,
        ),
        Kind(
            "asv results",
            "box/aaaaaaaa-virtualenv-py3.12.json",
            (_bytes(ASV_RESULT),),
            damaged_json,
            _use_asv,
        ),
        Kind(
            "asv benchmarks",
            "benchmarks.json",
            (_bytes(ASV_BENCHMARKS),),
            damaged_json,
            _use_asv,
            draws=True,
        ),
        Kind("shared study", PLAN_NAME, (_bytes(STUDY_PLAN),), damaged_json, _use_shared),
        Kind("journal", "under-way-x.jsonl", (_journal(),), damaged_lines, _report_with_records),
        Kind("lease", f"sharing/{UNIT}-1.lease", (_lease(),), damaged_text, _use_shared),
        Kind("worker", "sharing/workers/w1.json", (_bytes(WORKER),), damaged_json, _use_shared),
        Kind(
            "submission",
            "sharing/jobs/abc.json",
            (_bytes({"place": "local", "jobs": ["node1:77-12345"]}),),
            damaged_json,
            _use_shared,
        ),
        Kind(
            "records of a unit",
            f"records-unit-{UNIT}.jsonl",
            (_records("af3-ubiquitin", 1)[0],),
            damaged_lines,
            _use_shared,
        ),
    )
