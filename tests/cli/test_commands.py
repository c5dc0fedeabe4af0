"""The command line: what it imports, and what ``perfkit exec`` really applies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.knobs import allocators
from perfkit.records.schema import Outcome
from perfkit.records.store import read_records

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]
type Refused = Callable[[subprocess.CompletedProcess[str], str], None]

SHOW = (
    "import json, os; print(json.dumps({'flags': os.environ.get('XLA_FLAGS'), "
    "'threads': os.environ.get('PJRT_NPROC'), 'cpus': sorted(os.sched_getaffinity(0)), "
    "'maps': open('/proc/self/maps').read()}))"
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(perfkit: Perfkit, arguments: list[str]) -> None:
    told = (
        "import atexit\n"
        "heavy = ('jax', 'jaxlib', 'numpy', 'plotly', 'pandas', 'pydantic', 'alphafold3')\n"
        "atexit.register(lambda: print('heavy:', [n for n in heavy if n in sys.modules]))\n"
    )
    finished = perfkit(*arguments, before=told)
    assert finished.returncode == 0
    assert "perfkit" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("command", ["run", "tune", "sweep", "report", "exec"])
def test_every_command_explains_itself_without_jax(perfkit: Perfkit, command: str) -> None:
    told = "import atexit\natexit.register(lambda: print('jax' in sys.modules))\n"
    finished = perfkit(command, "--help", before=told)
    assert finished.returncode == 0, finished.stderr
    assert f"perfkit {command}" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "False"


def _preset(folder: Path, knobs: str) -> str:
    path = folder / "preset.toml"
    path.write_text(f"model = 'af3'\n[knobs]\n{knobs}")
    return str(path)


def test_exec_applies_flags_and_affinity(perfkit: Perfkit, tmp_path: Path) -> None:
    preset = _preset(tmp_path, "cpus = 1\nxla_cpu_use_onednn = true\n")
    finished = perfkit("exec", "--preset", preset, "--", sys.executable, "-c", SHOW)
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["flags"].split()[-1] == "--xla_cpu_use_onednn=true"
    assert told["threads"] == "1"
    assert told["cpus"] == [min(os.sched_getaffinity(0))]


@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc"])
def test_exec_preloads_the_allocator(perfkit: Perfkit, tmp_path: Path, name: str) -> None:
    library = allocators.library_path(name)
    if library is None:
        pytest.skip(f"Debian package {allocators.ALLOCATORS[name].package} is not installed")
    preset = _preset(tmp_path, f"allocator = '{name}'\n")
    finished = perfkit("exec", "--preset", preset, "--", sys.executable, "-c", SHOW)
    assert str(library.resolve()) in json.loads(finished.stdout)["maps"]


def test_exec_passes_the_exit_code_and_the_arguments_through(
    perfkit: Perfkit, tmp_path: Path
) -> None:
    preset = _preset(tmp_path, "bucket = 'exact'\n")
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    command = [sys.executable, "-c", code, "--flag", "--preset", "--", "-x"]
    finished = perfkit("exec", "--preset", preset, "--", *command)
    assert finished.returncode == 7
    assert finished.stdout.strip() == "['--flag', '--preset', '--', '-x']"
    assert finished.stderr.splitlines() == [
        "perfkit: the command itself has to apply the settings of the model: bucket=exact"
    ]


@pytest.mark.parametrize(
    ("command", "told"),
    [([], "there is no command to run"), (["--", "/no/such/program"], "cannot be run")],
)
def test_exec_without_a_command_that_runs_is_refused(
    perfkit: Perfkit, tmp_path: Path, command: list[str], told: str
) -> None:
    finished = perfkit("exec", "--preset", _preset(tmp_path, ""), *command)
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert told in finished.stderr


RESIDUES = (
    "import jax, jax.numpy as jnp\n"
    "terms = jnp.asarray([1.0, 1.0000001, 1.0]), jnp.asarray([1.0000001, 1.0, 0.75])\n"
    "print(*jax.jit(lambda a, b: jnp.sqrt(a - b))(*terms).tolist())\n"
)


@pytest.mark.parametrize(
    ("options", "positive_residue", "counts"),
    [([], 3.4526698e-4, (1, 0)), (["--zero"], 0.0, (1, 1))],
)
def test_exec_under_the_guard_lifts_and_on_request_returns_zero(
    perfkit: Perfkit,
    tmp_path: Path,
    options: list[str],
    positive_residue: float,
    counts: tuple[int, int],
) -> None:
    report = tmp_path / "guard.json"
    command = ["--", sys.executable, "-c", RESIDUES]
    finished = perfkit("exec", "--guard", *options, "--guard-report", str(report), *command)
    assert finished.returncode == 0, finished.stderr
    values = [float(word) for word in finished.stdout.split()]
    assert values == pytest.approx([0.0, positive_residue, 0.5])
    told = json.loads(report.read_text(encoding="utf-8"))
    assert (told["lifted"], told["zeroed"]) == counts


@pytest.mark.parametrize("source", ["preset", "knob"])
def test_doctor_examines_under_the_settings_it_is_given(
    perfkit: Perfkit, tmp_path: Path, source: str
) -> None:
    given = {
        "preset": ["--preset", _preset(tmp_path, "xla_cpu_prefer_vector_width = 512\n")],
        "knob": ["--knob", "xla_cpu_prefer_vector_width=512"],
    }
    finished = perfkit("doctor", "--json", *given[source])
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["healthy"]
    assert "--xla_cpu_prefer_vector_width=512" in told["xla_flags"].split()


@pytest.mark.parametrize(
    ("option", "told"),
    [("xla_cpu_prefer_vector_widht=512", "prefer_vector_width"), ("cpus=4096", "4096")],
)
def test_doctor_refuses_settings_that_cannot_be(
    perfkit: Perfkit, refused: Refused, option: str, told: str
) -> None:
    refused(perfkit("doctor", "--knob", option), told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_batch_systems_end_keep_an_interrupted_record(
    tmp_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("alphafold3", reason="the run needs the af3 extra")
    out = tmp_path / "out"
    running = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "run", "--size", "8", "--steps", "1", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell started in the background ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline_s = time.monotonic() + 60
    while not list(out.glob("trials/*/log.txt")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    running.send_signal(number)
    _, printed = running.communicate()
    assert running.returncode == 130
    assert printed.splitlines() == ["perfkit: interrupted"]
    (record,) = read_records(out)
    assert record.outcome is Outcome.INTERRUPTED
