"""The commands of the README run one after the other, as a reader would type them.

They run at reduced sizes: :data:`SMALLER` lists every change. None of them opens a connection, and
all files have the user's umask. Root's rights are taken away. The commands that the README has no
example of are held to this, too, with cheap arguments.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from perfkit.cli.main import COMMANDS
from perfkit.records.store import Store
from tests.support.no_network import attempts, without_network
from tests.support.planted import INVENTORY, study
from tests.support.plugin import install

pytest.importorskip("jax", reason="the trials are real")

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

BUDGETS = ("10s", "40s", "160s")
"""Each call continues where the one before ended, so that a slow machine may need several."""

SMALLER = (
    # A model of a few matrix products, so that a trial takes seconds. tests/end_to_end runs the
    # same options with the real AlphaFold 3.
    ("run --model af3 --input protein.json", "run --model wasteful --edge 16 --passes 0"),
    ("tune --model af3 --input protein.json", "tune --model wasteful --edge 16 --cold"),
    ("sweep --model af3 --sizes 64,128", "sweep --model wasteful --sizes 16"),
    # It has no weights.
    (" --model-dir weights", " --steps 1 --force-output-dir"),
    # Enough to measure stock; tests/end_to_end confirms a gain.
    ("--budget 1h", f"--budget {BUDGETS[0]} --knob padded=exact --no-extrapolation"),
    # What every machine has.
    ("allocator=glibc,jemalloc", "allocator=glibc,glibc-keep"),
    # A fit takes most of an hour: this one reads recorded trials.
    ("plan fit --model af3", "plan fit --from recorded"),
    # Workers on this machine. tests/cluster runs them on a Slurm of its own.
    ("--on slurm", "--on local --array-limit 1"),
    # A stand-in that prints its arguments.
    ("python run_alphafold.py", f"{sys.executable} run_alphafold.py"),
)
"""Text in a command of the README -> text that the test runs in its place."""

ELSEWHERE = {
    "make tune": "tests/end_to_end/test_af3_tune.py",
    "make test": "tests/docs/test_readme.py",
    # It installs versions of jaxlib.
    "perfkit compare --jaxlib": "tests/upgrade/test_compare_jaxlib.py",
}
"""Begin of a command of the README that does not run here -> test that runs it."""

OTHERS = {
    "knobs": "knobs --model wasteful",
    "recommend": "recommend --model af3 --size 76 --preset-out known.toml",
    "preset": "preset show known.toml --as bash",
    "profile": "profile --model wasteful --edge 8 --observe clocks --out profiled",
    "guard": "guard --remedies",
    "doctor": "doctor --knob cpus=0",
    "calibrate": "calibrate --model wasteful --rounds 0",
    "completion": "completion bash",
    "cancel": "cancel sweep",
}
"""Commands that the README has no example of, with cheap arguments."""

ALLOWED_CODES = {"tune": (0, 1), "plan check": (2,), "doctor": (2,), "calibrate": (2,)}
"""Exit codes other than 0 alone: a budget of seconds may not suffice, no job of the plan has begun
here, and impossible values are refused before minutes of measuring."""

UMASK = 0o027


def commands() -> list[str]:
    """The command lines in the code blocks of the README that a reader types."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if re.match(r"(perfkit|make) ", line)]


def _reduced(command: str) -> str:
    for text, replacement in SMALLER:
        command = command.replace(text, replacement)
    return command


def _without_rights() -> list[str]:
    """Words before a command that take all capabilities of root away."""
    program = shutil.which("setpriv")
    if os.geteuid() != 0 or program is None:
        return []
    return [program, "--bounding-set=-all", "--inh-caps=-all"]


@dataclass
class Session:
    """A folder of a reader, and how each command ended.

    Attributes
    ----------
    folder
        Working directory.
    ended
        Command line as it ran -> its end.
    """

    folder: Path
    guard: Path
    ended: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def run(self, command: str) -> None:
        """Run a command that begins with ``perfkit``."""
        words = [*_without_rights(), sys.executable, "-m", *shlex.split(command)]
        self.ended[command] = subprocess.run(
            words,
            cwd=self.folder,
            env=without_network(self.guard),
            umask=UMASK,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The commands of the README and the others, in this order, in one folder."""
    folder = tmp_path_factory.mktemp("reader")
    guard = install(tmp_path_factory.mktemp("packages"), "heat_model:WastefulHeat", "wasteful")
    session = Session(folder, guard)
    (folder / "run_alphafold.py").write_text("import sys\nprint(*sys.argv[1:])\n")
    (folder / "queue.csv").write_text("name,tokens\na,40\nb,64\n")
    (folder / "machines.toml").write_text(INVENTORY)
    store = Store(folder / "recorded")
    for record in study():
        store.append(record)
    for command in map(_reduced, commands()):
        if command.startswith(tuple(ELSEWHERE)):
            continue
        if "results/monday" in command:
            for day in ("monday", "friday"):
                shutil.copytree(folder / "predictions", folder / "results" / day)
        session.run(command)
        for before, budget in itertools.pairwise(BUDGETS):
            if session.ended[command].returncode == 1 and before in command:
                command = command.replace(before, budget)
                session.run(command)
    for words in OTHERS.values():
        session.run(f"perfkit {words}")
    return session


def test_every_change_and_exception_is_of_a_command_in_the_readme() -> None:
    found = commands()
    assert found
    for text, _ in SMALLER:
        assert any(text in command for command in found), text
    for begin, test in ELSEWHERE.items():
        assert any(command.startswith(begin) for command in found), begin
        assert (ROOT / test).exists()


def test_every_subcommand_runs_here() -> None:
    named = {command.split()[1] for command in commands() if command.startswith("perfkit ")}
    assert named | set(OTHERS) == set(COMMANDS)
    assert not named & set(OTHERS)


@pytest.mark.parametrize("target", ["tune", "test"])
def test_make_has_the_targets_of_the_readme(target: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    expected = {"tune": "perfkit tune --model af3", "test": "-m pytest"}[target]
    assert expected in shown.stdout


@pytest.mark.slow
def test_the_commands_of_the_readme_run(session: Session) -> None:
    for command, ended in session.ended.items():
        codes = (
            codes
            for begin, codes in ALLOWED_CODES.items()
            if command.startswith(f"perfkit {begin}")
        )
        allowed = next(codes, (0,))
        assert ended.returncode in allowed, f"{command}\n{ended.stdout}{ended.stderr}"
        assert "Traceback" not in ended.stderr, f"{command}\n{ended.stderr}"
    (applied,) = (ended for line, ended in session.ended.items() if line.startswith("perfkit exec"))
    # tests/models/af3/foreign/test_deepmind_program.py runs the program itself.
    assert applied.stdout.startswith("--json_path=input.json --output_dir=out ")
    for name in ("predictions/plate-16/plate.npy", "fitted/fit.json", "known.toml"):
        assert (session.folder / name).is_file(), name
    for folder in ("tuned", "fitted"):
        page = session.folder / folder / "report.html"
        assert "</html>" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_command_opens_a_connection(session: Session) -> None:
    assert attempts(session.guard) == []


@pytest.mark.slow
def test_all_files_of_all_commands_have_the_umask_of_the_user(session: Session) -> None:
    own = {"run_alphafold.py", "queue.csv", "machines.toml", "recorded", "results"}
    wrong = [
        f"{stat.filemode(path.stat().st_mode)} {path.relative_to(session.folder)}"
        for path in session.folder.rglob("*")
        if path.relative_to(session.folder).parts[0] not in own
        and not path.is_symlink()
        and stat.S_IMODE(path.stat().st_mode) not in (0o640, 0o750)
    ]
    assert wrong == []


def test_the_guard_of_the_network_works(tmp_path: Path) -> None:
    """Without it, the test above would pass whatever a command does."""
    code = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=0.1)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=without_network(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this test forbids the network" in ended.stderr
    (line,) = attempts(tmp_path)
    assert line.startswith("socket.getaddrinfo")
