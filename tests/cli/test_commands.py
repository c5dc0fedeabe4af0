"""What subcommands import, and which settings ``perfkit exec`` and ``doctor`` apply."""

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
    code = (
        "import atexit\n"
        "heavy = ('jax', 'jaxlib', 'numpy', 'plotly', 'pandas', 'pydantic', 'alphafold3')\n"
        "atexit.register(lambda: print('heavy:', [n for n in heavy if n in sys.modules]))\n"
    )
    finished = perfkit(*arguments, before=code)
    assert finished.returncode == 0
    assert "perfkit" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("command", ["run", "tune", "sweep", "report", "exec", "preset"])
def test_the_help_of_a_command_imports_no_jax(perfkit: Perfkit, command: str) -> None:
    code = "import atexit\natexit.register(lambda: print('jax' in sys.modules))\n"
    finished = perfkit(command, "--help", before=code)
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
    shown = json.loads(finished.stdout)
    assert shown["flags"].split()[-1] == "--xla_cpu_use_onednn=true"
    assert shown["threads"] == "1"
    assert shown["cpus"] == [min(os.sched_getaffinity(0))]


CPUS = sorted(os.sched_getaffinity(0))


def test_exec_binds_each_instance_to_its_share(perfkit: Perfkit, tmp_path: Path) -> None:
    preset = _preset(tmp_path, "bucket = 'exact'\n[instances]\ncount = 2\ncpus = 1\n")
    count = min(2, len(CPUS))
    shown = [
        json.loads(
            perfkit(
                "exec", "--instance", f"{number}/{count}", "--preset", preset, "--",
                sys.executable, "-c", SHOW,
            ).stdout
        )["cpus"]
        for number in range(1, count + 1)
    ]  # fmt: skip
    assert [len(cpus) for cpus in shown] == [len(CPUS) // count] * count
    assert len({cpu for cpus in shown for cpu in cpus}) == len(CPUS) // count * count


def test_exec_says_where_other_instances_were_measured(perfkit: Perfkit, tmp_path: Path) -> None:
    preset = _preset(tmp_path, "[instances]\ncount = 7\ncpus = 3\n")
    finished = perfkit("exec", "--instance", "1/1", "--preset", preset, "--", "true")
    assert finished.returncode == 0
    assert finished.stderr.splitlines()[0] == (
        f"perfkit: the preset was measured with 7 instances of 3 CPUs, not with 1 of {len(CPUS)}"
    )


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ("3/2", "there is no instance 3 of 2"),
        ("0/2", "there is no instance 0 of 2"),
        ("one", "'one' is not an instance: write its number and the number of all"),
        ("1/100000", "100000 instances need a CPU each, but only"),
        ("1/1", "1 instance with a peak of 900 TB each cannot run in"),
    ],
)
def test_exec_refuses_impossible_instances(
    perfkit: Perfkit, refused: Refused, tmp_path: Path, instance: str, message: str
) -> None:
    peak = 900 * 10**12
    table = f"[instances]\ncount = 2\ncpus = 1\npeak_rss_bytes = {peak}\n"
    preset = _preset(tmp_path, table)
    finished = perfkit("exec", "--instance", instance, "--preset", preset, "--", "true")
    refused(finished, message)


@pytest.mark.parametrize("name", ["jemalloc", "mimalloc", "tcmalloc"])
def test_exec_preloads_the_allocator(perfkit: Perfkit, tmp_path: Path, name: str) -> None:
    library = allocators.library_path(name)
    if library is None:
        pytest.skip(allocators.not_installed(name))
    preset = _preset(tmp_path, f"allocator = '{name}'\n")
    finished = perfkit("exec", "--preset", preset, "--", sys.executable, "-c", SHOW)
    assert str(library.resolve()) in json.loads(finished.stdout)["maps"]


def test_exec_passes_on_the_arguments_and_returns_the_exit_code(
    perfkit: Perfkit, tmp_path: Path
) -> None:
    preset = _preset(tmp_path, "bucket = 'exact'\n")
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    command = [sys.executable, "-c", code, "--flag", "--preset", "--", "-x"]
    finished = perfkit("exec", "--preset", preset, "--", *command)
    assert finished.returncode == 7
    assert finished.stdout.strip() == "['--flag', '--preset', '--', '-x']"
    assert finished.stderr.splitlines()[0] == (
        "perfkit: bucket=exact: not applied: no Python process imported JAX"
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [([], "there is no command to run"), (["--", "/no/such/program"], "cannot be run")],
)
def test_exec_refuses_a_command_that_cannot_be_run(
    perfkit: Perfkit, tmp_path: Path, command: list[str], message: str
) -> None:
    finished = perfkit("exec", "--preset", _preset(tmp_path, ""), *command)
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert message in finished.stderr


RESIDUES = (
    "import jax, jax.numpy as jnp\n"
    "terms = jnp.asarray([1.0, 1.0000001, 1.0]), jnp.asarray([1.0000001, 1.0, 0.75])\n"
    "print(*jax.jit(lambda a, b: jnp.sqrt(a - b))(*terms).tolist())\n"
)


@pytest.mark.parametrize(
    ("options", "positive_residue", "counts"),
    [([], 3.4526698e-4, (1, 0)), (["--zero"], 0.0, (1, 1))],
)
def test_exec_guards_a_command_and_returns_zero_on_request(
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
    counted = json.loads(report.read_text(encoding="utf-8"))
    assert (counted["lifted"], counted["zeroed"]) == counts


def test_doctor_applies_the_settings_of_a_preset_and_of_the_command_line(
    perfkit: Perfkit, tmp_path: Path
) -> None:
    preset = _preset(tmp_path, "xla_cpu_prefer_vector_width = 512\n")
    finished = perfkit(
        "doctor", "--json", "--preset", preset, "--knob", "xla_cpu_use_xnnpack=false"
    )
    assert finished.returncode == 0, finished.stderr
    shown = json.loads(finished.stdout)
    assert shown["healthy"]
    flags = shown["xla_flags"].split()
    assert {"--xla_cpu_prefer_vector_width=512", "--xla_cpu_use_xnnpack=false"} <= set(flags)


@pytest.mark.parametrize(
    ("option", "message"),
    [("xla_cpu_prefer_vector_widht=512", "prefer_vector_width"), ("cpus=4096", "4096")],
)
def test_doctor_refuses_impossible_settings(
    perfkit: Perfkit, refused: Refused, option: str, message: str
) -> None:
    refused(perfkit("doctor", "--knob", option), message)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_an_interrupted_record(
    tmp_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("alphafold3", reason="the run needs the af3 extra")
    out = tmp_path / "out"
    running = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "run", "--size", "8", "--steps", "1", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell makes background jobs ignore SIGINT, and children inherit that.
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
