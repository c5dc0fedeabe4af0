"""``perfkit exec --preset`` applies the whole preset to an unmodified program, and says so."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pytest

import perfkit
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome, Record
from perfkit.records.store import read_records
from perfkit.trial.conditions.jaxlib_standing import CHECK_VARIABLE, Standing, store_standing
from tests.foreign.conftest import Finished, Here, Lab

pytest.importorskip("jax", reason="the foreign program runs it")

LIMIT = "JAX_COMPILATION_CACHE_MAX_SIZE"

KNOBS = "padded = '32'\ncpus = 1\nxla_cpu_use_onednn = true"


def own_lines(finished: Finished) -> list[str]:
    """What perfkit printed, without its prefix."""
    lines = finished.stderr.splitlines()
    return [line.removeprefix("perfkit: ") for line in lines if line.startswith("perfkit: ")]


def line_of(finished: Finished, setting: str) -> str:
    (line,) = [line for line in own_lines(finished) if line.startswith(f"{setting}=")]
    return line.partition(": ")[2]


@pytest.fixture(scope="module")
def runs(lab: Lab) -> tuple[Finished, Finished]:
    """The same command twice, with a record of both runs."""
    words = ["--preset", lab.preset(KNOBS), "--record", "recorded", "--"]
    first, second = (
        lab.exec(*words, sys.executable, str(lab.program), "16", "24", "40") for _ in range(2)
    )
    return first, second


def test_the_adapter_changes_what_the_program_computes(runs: tuple[Finished, Finished]) -> None:
    first, second = runs
    assert first.returncode == second.returncode == 0, first.stderr
    # Plates of 16 and 24 nodes are padded to 32; one of 40 does not fit.
    assert first.stdout == second.stdout == "32 32 40\n"


def test_each_setting_has_a_line(runs: tuple[Finished, Finished]) -> None:
    first, _ = runs
    assert line_of(first, "padded") == (
        "applied 2 times; not applied once: the plate has 40 nodes along an edge"
    )
    assert line_of(first, "cpus") == "applied in 1 process"
    assert re.fullmatch(r"applied to \d+ programs", line_of(first, "xla_cpu_use_onednn"))


def test_a_preset_of_another_jaxlib_is_named(lab: Lab) -> None:
    preset = lab.preset(KNOBS + "\n[measured.versions]\njaxlib = '0.0.1'")
    done = lab.exec("--preset", preset, "--", sys.executable, str(lab.program), "16")
    (line,) = [line for line in own_lines(done) if "was measured with" in line]
    assert f"with jaxlib 0.0.1, but here is jaxlib {version('jaxlib')}" in line


def test_a_second_job_of_the_same_shapes_compiles_nothing(
    lab: Lab, runs: tuple[Finished, Finished]
) -> None:
    found: list[dict[str, Any]] = [
        dict(record.observations["foreign"].data) for record in records(lab)
    ]
    first, second = found
    assert first["compile_cache_misses"] > 0
    assert second["compile_cache_misses"] == second["uncached_compilations"] == 0
    programs = first["compile_cache_hits"] + first["compile_cache_misses"]
    assert second["compile_cache_hits"] == programs
    summary = own_lines(runs[1])[-2]
    assert summary.endswith(f"{programs} of {programs} programs from the compile cache")
    assert re.match(r"wall [\d.]+ m?s, CPU [\d.]+ m?s, peak memory [\d.]+ MB, ", summary)


@pytest.mark.parametrize(("own", "limit"), [({}, 5 * 10**9), ({LIMIT: "7000000"}, 7_000_000)])
def test_the_compile_cache_is_limited_unless_the_user_limits_it(
    lab: Lab,
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
    own: Mapping[str, str],
    limit: int,
) -> None:
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    shows = f"import jax; print(jax.config.{LIMIT.lower()})"
    finished = here.exec("--preset", lab.preset(KNOBS), "--", sys.executable, "-c", shows)
    assert finished.stdout == f"{limit}\n", finished.stderr


OWN_FOLDER = """
import os, sys, jax
jax.jit(lambda x: x - 1)(1.0)
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(1.0)
names = ("max_size", "dir")
print(*(getattr(jax.config, f"jax_compilation_cache_{name}") for name in names))
print(sum(name.endswith("-cache") for name in os.listdir(sys.argv[1])))
"""


def test_a_cache_that_the_program_itself_names_is_not_limited(lab: Lab, here: Here) -> None:
    folder = str(lab.folder / "cache-of-the-program")
    words = ["--preset", lab.preset(KNOBS), "--", sys.executable, "-c", OWN_FOLDER, folder]
    finished = here.exec(*words)
    # JAX's default is no limit. The program before was not looked up in this folder.
    assert finished.stdout == f"-1 {folder}\n1\n", finished.stderr
    assert f"the compile cache is that of the program ({folder})" in own_lines(finished)


def records(lab: Lab) -> list[Record]:
    return read_records(lab.folder / "recorded")


def test_the_record_describes_the_run(lab: Lab, runs: tuple[Finished, Finished]) -> None:
    record, _ = records(lab)
    assert (record.role, record.outcome) == (Role.FOREIGN, Outcome.OK)
    assert (record.workload.model, record.workload.name) == ("heat", "3 inputs")
    assert record.workload.size == 40
    assert record.configuration.settings["padded"] == "32"
    assert record.allowed_cpus == 1
    (whole,) = record.steady
    assert 0 < whole.cpu_s < 60
    assert record.peak_rss_bytes > 50e6
    assert record.versions["jaxlib"] is not None
    assert any("a command of the user" in notice for notice in record.notices)


def test_other_commands_read_the_record(
    lab: Lab, here: Here, runs: tuple[Finished, Finished]
) -> None:
    page = perfkit.render_report("recorded").page.read_text(encoding="utf-8")
    assert "a command of the user" in page
    (comparison,) = perfkit.compare("recorded", "recorded").comparisons
    names = [row.name for row in comparison.rows]
    subject = "heat 3 inputs (40) [cpus=1 padded=32 cpu_use_onednn=true] foreign on 1 CPU"
    assert {f"{subject} steady", f"{subject} peak memory"} <= set(names)


def test_bucket_steps_guard_and_the_cache_of_the_user_combine(
    lab: Lab, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--preset", lab.preset(KNOBS), "--bucket-step", "20", "--guard", "--"]
    own_cache = lab.folder / "own-cache"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(own_cache))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    finished = here.exec(*words, sys.executable, str(lab.program), "16")
    # 32 nodes are padded to the next multiple of 20.
    assert finished.stdout == "40\n", finished.stderr
    lines = own_lines(finished)
    assert f"the compile cache is that of JAX_COMPILATION_CACHE_DIR ({own_cache})" in lines
    assert any(line.startswith("domain guard: nothing can need lifting") for line in lines)
    assert lines[-1].endswith("guard: 0 lifted, 0 zeroed")
    assert list(own_cache.glob("*-cache"))


NOT_REACHED = "no Python process was started that perfkit can reach"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["true"], NOT_REACHED),
        ([sys.executable, "-S", "-c", "pass"], NOT_REACHED),
        ([sys.executable, "-c", "pass"], "no Python process imported JAX"),
        ([sys.executable, "-c", "import jax"], "the program never imported heatlab"),
    ],
    ids=["no Python", "no site", "no JAX", "no model"],
)
def test_the_reason_is_named_where_nothing_could_be_applied(
    lab: Lab, here: Here, command: list[str], reason: str
) -> None:
    finished = here.exec("--preset", lab.preset(KNOBS), "--", *command)
    assert finished.returncode == 0
    assert finished.stdout == ""
    assert line_of(finished, "padded") == f"not applied: {reason}"


USES = "import sys; sys.path.insert(0, sys.argv[1]); import heatlab.solver, jax"


@pytest.mark.parametrize(
    ("model", "knobs", "expected"),
    [
        ("heat", "padded = '32'", "not applied: the program never asked for it"),
        ("af3", "bucket = 'exact'", "the preset is for af3, but the program runs heat"),
    ],
)
def test_a_program_of_another_model_or_that_predicts_nothing_is_named(
    lab: Lab, here: Here, model: str, knobs: str, expected: str
) -> None:
    words = ["--preset", lab.preset(knobs, model), "--", sys.executable, "-c", USES]
    finished = here.exec(*words, str(lab.program.parent))
    assert finished.returncode == 0
    assert any(expected in line for line in own_lines(finished)), finished.stderr


def test_a_jaxlib_with_wrong_answers_is_named_and_recorded(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFKIT_CACHE", lab.environment["PERFKIT_CACHE"])
    store_standing(Standing(version("jaxlib"), "", 13, ("arctan",)))
    monkeypatch.setitem(lab.environment, "XLA_FLAGS", "")
    monkeypatch.setitem(lab.environment, CHECK_VARIABLE, "on")
    done = lab.exec("--record", "warned", "--", sys.executable, str(lab.program), "16")
    warning = f"jaxlib {version('jaxlib')} gives 1 of 13 known answers wrong on this CPU (arctan)"
    assert any(line.startswith(f"warning: {warning}") for line in own_lines(done)), done.stderr
    assert done.returncode == 0
    (record,) = read_records(lab.folder / "warned")
    assert any(notice.startswith(warning) for notice in record.notices)
