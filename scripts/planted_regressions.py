"""Shows that asv finds a 10 % slowdown and a changed answer that are planted on purpose.

Clones this repository into a scratch folder, commits a slowdown of GenCast's forecasting loop and,
beside it, a change of its arithmetic, and runs `asv continuous` from the commit before each:

    .venv/bin/python scripts/planted_regressions.py

Rounds are interleaved between the two commits, each in fresh processes. The environments that asv
builds see the packages of the Python that runs this, so that nothing is installed twice. Ends with
exit code 0 when both were found by the benchmarks meant for them, and the control (a commit that
changes nothing) was found unchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from asv.util import load_json

ROOT = Path(__file__).parents[1]
CONFIGURATION = "asv.conf.json"
TIMES = r"GenCastParts\.time_steady"
ANSWERS = r"GenCastAnswers\.track_agreement_distance"


@dataclass(frozen=True)
class Plant:
    """A change of perfkit's code.

    Parameters
    ----------
    name
        The commit's message.
    path
        File below the repository's root.
    old, new
        Text that must be there once, and what takes its place.
    benchmarks
        Regular expression of the benchmarks that are run.
    found
        Whether asv has to find it.
    """

    name: str
    path: str
    old: str
    new: str
    benchmarks: str
    found: bool = True


def plants(slowdown: float) -> list[Plant]:
    """A slowdown by a fraction of the time, a changed answer, and a change of nothing."""
    loop = "perfkit/models/gencast/computation.py"
    line = "            predicted = {name: np.asarray(v) for name, v in step("
    line += "inputs, forcings, this).items()}\n"
    slow = "            import time; begin_s = time.monotonic()\n" + line
    slow += f"            time.sleep({slowdown} * (time.monotonic() - begin_s))\n"
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
    """A clone with a configuration of asv's of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        self.base = self.git("rev-parse", "HEAD")
        configuration = load_json(str(ROOT / CONFIGURATION), js_comments=True)
        configuration["install_command"] = [
            f"{sys.executable} {Path(__file__).resolve()} --share {{env_dir}}",
            "python -m pip install --quiet --no-deps --no-index {wheel_file}",
        ]
        (folder / CONFIGURATION).write_text(json.dumps(configuration), encoding="utf-8")

    def git(self, *arguments: str) -> str:
        """Run git in the clone; what it prints."""
        author = ["-c", "user.name=perfkit", "-c", "user.email=perfkit@localhost"]
        done = subprocess.run(
            ["git", "-C", str(self._folder), *author, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, plant: Plant) -> str:
        """Commit a plant on top of the base; its hash.

        Raises
        ------
        SystemExit
            The code is no longer what the plant was made for.
        """
        path = self._folder / plant.path
        text = path.read_text(encoding="utf-8")
        if text.count(plant.old) != 1:
            raise SystemExit(f"{plant.path} has changed: tell {Path(__file__).name} what to plant")
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
            # asv keeps what it knows of the machine at home, where it is none of this script's.
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


def share_packages(environment: Path) -> None:
    """Let an environment of asv see the packages of this Python, after its own."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / name / "site-packages"
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")


def show(plant: Plant, scratch: Scratch, processes: int, rounds: int, factor: float) -> bool:
    """Whether `asv continuous` says of a plant what it should."""
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
        raise SystemExit("asv did not come to an end")
    said = done.returncode == 1 and "PERFORMANCE DECREASED" in done.stdout
    if plant.found:
        compared = scratch.run("perfkit", "compare", scratch.base, planted)
        said = said and compared.returncode == 1
        said = said and ("WORSE" if timed else "ANSWER CHANGED") in compared.stdout
    print(f"{plant.name}: asv {'found' if done.returncode else 'found no'} change", flush=True)
    return said == plant.found


def main() -> int:
    """Plant and look; 0 when asv was right about everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slowdown", type=float, default=0.1, help="fraction (default 0.1)")
    parser.add_argument("--processes", type=int, default=6, help="trials in a round (default 6)")
    parser.add_argument("--rounds", type=int, default=2, help="interleaved rounds (default 2)")
    parser.add_argument("--factor", type=float, default=1.05, help="asv's --factor (default 1.05)")
    parser.add_argument("--no-control", action="store_true", help="leave the control out")
    given = parser.parse_args()
    if given.share is not None:
        share_packages(given.share)
        return 0
    with tempfile.TemporaryDirectory(prefix="perfkit-planted-") as folder:
        scratch = Scratch(Path(folder) / "clone")
        scratch.run("asv", "machine", "--yes")
        right = [
            show(plant, scratch, given.processes, given.rounds, given.factor)
            for plant in plants(given.slowdown)
            if plant.found or not given.no_control
        ]
    print("asv was right about all of them" if all(right) else "asv was wrong", flush=True)
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
