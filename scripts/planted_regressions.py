"""Show that asv finds a planted slowdown of 10 % and a planted change of an answer.

The script clones this repository into a scratch folder, commits a slowdown of GenCast's forecasting
loop and, separately, a change of its arithmetic, and runs `asv continuous` for each commit:

    .venv/bin/python scripts/planted_regressions.py

Rounds of the two commits are interleaved, each in fresh processes. The environments that asv builds
share the packages of the Python that runs this script, so that nothing is installed twice. The exit
code is 0 if the intended benchmarks find both changes and report a control, a commit that changes
nothing, as unchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asv.util import load_json

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = "asv.conf.json"
TIMES = r"GenCastParts\.time_steady"
ANSWERS = r"GenCastAnswers\.track_agreement_distance"


@dataclass(frozen=True)
class Plant:
    """A change of perfkit's code.

    Attributes
    ----------
    name
        Message of the commit.
    path
        File relative to the root of the repository.
    old, new
        Text that occurs once in the file, and its replacement.
    benchmarks
        Regular expression of the benchmarks to run.
    found
        Whether asv must report a change.
    """

    name: str
    path: str
    old: str
    new: str
    benchmarks: str
    found: bool = True


def plants(slowdown: float) -> list[Plant]:
    """A control without effect, a slowdown by the fraction ``slowdown``, and a changed answer."""
    loop = "perfkit/models/gencast/computation.py"
    line = "            predicted = {name: np.asarray(v) for name, v in step("
    line += "inputs, forcings, this).items()}\n"
    # Waits busily: a program that sleeps for a second counts as held up, and its pass is dropped.
    slow = "            import time; begin_s = time.monotonic()\n" + line
    slow += f"            end_s = time.monotonic() + {slowdown} * (time.monotonic() - begin_s)\n"
    slow += "            while time.monotonic() < end_s:\n                pass\n"
    gelu = "jax.nn.gelu(x, approximate={})"
    return [
        Plant("control: nothing is changed", loop, line, f"\n{line}", TIMES, found=False),
        Plant(f"each step takes {slowdown:.0%} longer", loop, line, slow, TIMES),
        Plant(
            "the noise level's features through another activation",
            "perfkit/models/gencast/network/layers.py",
            gelu.format(True),
            gelu.format(False),
            ANSWERS,
        ),
    ]


class Scratch:
    """A clone with its own asv configuration.

    Parameters
    ----------
    folder
        Where to clone to.
    variables
        Environment variables of the benchmarks.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = variables
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        self.base = self.git("rev-parse", "HEAD")
        configuration = load_json(str(ROOT / CONFIGURATION), js_comments=True)
        configuration["install_command"] = [
            f"{sys.executable} {ROOT / 'scripts' / 'shared_packages.py'} {{env_dir}}",
            "python -m pip install --quiet --no-deps --no-index {wheel_file}",
        ]
        (folder / CONFIGURATION).write_text(json.dumps(configuration), encoding="utf-8")

    def git(self, *arguments: str) -> str:
        """Run git in the clone and return its output."""
        author = ["-c", "user.name=perfkit", "-c", "user.email=perfkit@localhost"]
        done = subprocess.run(
            ["git", "-C", str(self._folder), *author, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, plant: Plant) -> str:
        """Commit a plant on top of the base and return the hash.

        Raises
        ------
        SystemExit
            The file does not contain the text to replace exactly once.
        """
        path = self._folder / plant.path
        text = path.read_text(encoding="utf-8")
        if text.count(plant.old) != 1:
            raise SystemExit(f"{plant.path} has changed: update {Path(__file__).name}")
        path.write_text(text.replace(plant.old, plant.new), encoding="utf-8")
        self.git("commit", "--quiet", "--message", plant.name, plant.path)
        planted = self.git("rev-parse", "HEAD")
        self.git("reset", "--quiet", "--soft", self.base)
        path.write_text(text, encoding="utf-8")
        self.git("reset", "--quiet", "--", plant.path)
        # asv clones by branch: a commit without a name would not reach its environment.
        self.git("branch", f"plant-{planted[:8]}", planted)
        return planted

    def run(self, *arguments: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
        """Run a command of asv or perfkit in the clone and show what it prints."""
        variables = {
            "PERFKIT_BENCH_PROCESSES": str(processes),
            "PERFKIT_BENCH_SIZES": "1",
            **self._variables,
            # asv stores a description of the machine in the home folder; the script must not change
            # that of the user.
            "HOME": str(self._folder.parent),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        command = [sys.executable, "-m", *arguments]
        print("$", *arguments, flush=True)
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout, flush=True)
        return done


def show(plant: Plant, scratch: Scratch, processes: int, rounds: int, factor: float) -> bool:
    """Run `asv continuous` on a plant; True if it reports the plant as expected."""
    planted = scratch.commit(plant)
    print(f"\n== {plant.name} ==", flush=True)
    timed = plant.benchmarks == TIMES
    done = scratch.run(
        "asv",
        *("continuous", scratch.base, planted, "--bench", plant.benchmarks),
        *("--factor", str(factor), "--interleave-rounds", "--show-stderr"),
        *("--attribute", f"rounds={rounds if timed else 1}"),
        processes=processes if timed else 1,
    )
    if "BENCHMARKS" not in done.stdout:
        raise SystemExit("asv ended before it compared the commits; its output is above")
    reported = done.returncode == 1 and "PERFORMANCE DECREASED" in done.stdout
    if plant.found:
        compared = scratch.run("perfkit", "compare", scratch.base, planted)
        reported = reported and compared.returncode == 1
        reported = reported and ("WORSE" if timed else "ANSWER CHANGED") in compared.stdout
    print(f"{plant.name}: asv {'found' if done.returncode else 'found no'} change", flush=True)
    return reported == plant.found


def main() -> int:
    """Run all plants; return 0 if asv reported each of them as expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slowdown", type=float, default=0.1, help="fraction (default 0.1)")
    parser.add_argument("--processes", type=int, default=6, help="trials in a round (default 6)")
    parser.add_argument("--rounds", type=int, default=2, help="interleaved rounds (default 2)")
    parser.add_argument("--factor", type=float, default=1.05, help="asv's --factor (default 1.05)")
    parser.add_argument("--no-control", action="store_true", help="leave the control out")
    parser.add_argument(
        "--brief", action="store_true", help="measure only stock, and one pass of each trial"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perfkit-planted-") as folder:
        brief = {"PERFKIT_BENCH_CONFIGURATIONS": "stock", "PERFKIT_BENCH_PASSES": "1"}
        scratch = Scratch(Path(folder) / "clone", brief if given.brief else {})
        scratch.run("asv", "machine", "--yes")
        right = [
            show(plant, scratch, given.processes, given.rounds, given.factor)
            for plant in plants(given.slowdown)
            if plant.found or not given.no_control
        ]
    verdict = "every change" if all(right) else "not every change"
    print(f"asv reported {verdict} as expected", flush=True)
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
