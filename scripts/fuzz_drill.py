"""Use thousands of damaged files of every kind, and count what became of them.

::

    python -m scripts.fuzz_drill [--files 10000] [--workers 2] [--limit 20] [--seconds 3600]

Each worker is a process. One that takes longer than the limit with a file, or that a file ends, is
replaced, and counts as a fault of the file. Results are kept in ``--work``: the same command, with
any number of workers, continues after ``--seconds`` or an interruption. The table states whether
all files were used. ``--only NUMBER`` uses one file again and prints what it does.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perfkit.files import write_whole
from perfkit.models.gencast.inputs.hdf5_check import checks_in_one_process
from perfkit.records.machine import fingerprint, versions
from perfkit.units import cut
from tests.fuzz.attempt import Kind, attempt, damaged
from tests.fuzz.kinds import plain_kinds
from tests.fuzz.model_kinds import model_kinds

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "reports" / "drill" / "fuzz"

START_S = 180.0
"""Seconds that a worker may take before its first file: it imports JAX and upstream's parser."""

MOST_BYTES = 8 << 30
"""Address space of a worker, so that a file that fills the memory ends its worker only."""

LOOK_S = 0.2
"""Seconds between two looks at the workers."""


@dataclass(frozen=True)
class Result:
    """What became of a file.

    Attributes
    ----------
    number
        Number of the file, from 0.
    kind
        Name of its kind.
    word
        ``accepted``, ``refused`` or ``fault``.
    detail
        The sentence of the refusal, or the faults.
    seconds
        Time that the file took.
    """

    number: int
    kind: str
    word: str
    detail: str
    seconds: float


@dataclass
class Worker:
    """A process that uses every n-th file, and its results so far.

    Attributes
    ----------
    journal
        File with a line per begun and per finished file.
    numbers
        Numbers of the files that are left.
    process
        The process; None before the first one.
    changed_s
        Monotonic time of the last line of the journal.
    size
        Size of the journal at that time, in bytes.
    fresh
        Whether the process has not begun its first file.
    """

    journal: Path
    numbers: list[int]
    process: subprocess.Popen[bytes] | None = None
    changed_s: float = 0.0
    size: int = -1
    fresh: bool = True


def kinds(folder: Path) -> tuple[Kind, ...]:
    """The kinds of files in turn: those of which no page is drawn three times, the others once."""
    known = (*plain_kinds(folder), *model_kinds())
    return (*known, *(kind for kind in known if not kind.draws for _ in range(2)))


def seed_of(number: int, seed: int) -> str:
    """The seed of the damage of a file."""
    return f"drill {seed} {number}"


def use(number: int, seed: int, known: Sequence[Kind], folder: Path) -> Result:
    """Damage and use the file of a number."""
    kind = known[number % len(known)]
    content = damaged(kind, seed_of(number, seed))
    begin_s = time.monotonic()
    outcome = attempt(kind, content, folder)
    seconds = time.monotonic() - begin_s
    detail = "\n".join(outcome.faults) or outcome.sentence
    return Result(number, kind.name, outcome.word, detail, round(seconds, 3))


def work(numbers: Sequence[int], seed: int, journal: Path) -> None:
    """Use files one after the other, and note each in the journal before and after."""
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with tempfile.TemporaryDirectory(prefix="perfkit-fuzz-") as name, checks_in_one_process():
        folder = Path(name)
        known = kinds(folder)
        # The first use of a kind imports what reads it, and may start JAX.
        for kind in {kind.name: kind for kind in known}.values():
            attempt(kind, kind.originals[0], folder / "work")
        with journal.open("a", encoding="utf-8") as stream:
            for number in numbers:
                print(json.dumps({"begun": number}), file=stream, flush=True)
                result = use(number, seed, known, folder / "work")
                print(json.dumps(vars(result)), file=stream, flush=True)


def results_in(journal: Path) -> tuple[list[Result], int | None]:
    """The results of a journal, and the number of a file that was begun last and not finished."""
    results: list[Result] = []
    begun: int | None = None
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if "begun" in data:
            begun = data["begun"]
        else:
            results.append(Result(**data))
            begun = None
    return results, begun


def all_results(folder: Path) -> dict[int, Result]:
    """The results of all journals in a folder, by number."""
    found = (result for path in folder.glob("*.jsonl") for result in results_in(path)[0])
    return {result.number: result for result in found}


def commits_in(folder: Path) -> list[str]:
    """The commits of perfkit that the journals in a folder were written by."""
    lines = (
        line for path in folder.glob("*.jsonl") for line in path.read_text("utf-8").split("\n")
    )
    noted = (json.loads(line)["commit"] for line in lines if line.startswith('{"commit"'))
    return sorted({commit or "unknown" for commit in noted})


def run(given: argparse.Namespace) -> None:
    """Use the files that are left, for at most ``--seconds``."""
    given.work.mkdir(parents=True, exist_ok=True)
    done = all_results(given.work)
    left = [number for number in range(given.files) if number not in done]
    workers = []
    for number in range(given.workers):
        journal = given.work / f"worker-{number}.jsonl"
        with journal.open("a", encoding="utf-8") as stream:
            # An earlier run may have been ended within a line, and within a file.
            print(file=stream)
            print(json.dumps({"commit": versions()["perfkit_commit"], "begun": None}), file=stream)
        workers.append(Worker(journal, left[number :: given.workers]))
    deadline_s = time.monotonic() + given.seconds
    try:
        while time.monotonic() < deadline_s:
            # Each worker is looked at, whether or not another one goes on.
            going_on = [_goes_on(worker, given) for worker in workers]
            if not any(going_on):
                break
            time.sleep(LOOK_S)
    finally:
        for worker in workers:
            if worker.process is not None:
                worker.process.kill()
                worker.process.wait()


def _goes_on(worker: Worker, given: argparse.Namespace) -> bool:
    """Start, watch or replace the process of a worker; False if it has no file left."""
    if not worker.numbers:
        return False
    size = worker.journal.stat().st_size if worker.journal.exists() else 0
    if worker.process is None:
        _start(worker, given)
    elif size != worker.size:
        worker.size, worker.changed_s, worker.fresh = size, time.monotonic(), False
    elif (ended := worker.process.poll()) is not None:
        return _replace(worker, given, f"the process ended with code {ended}")
    elif time.monotonic() - worker.changed_s > (START_S if worker.fresh else given.limit):
        worker.process.kill()
        worker.process.wait()
        return _replace(worker, given, f"not done after {given.limit:g} s")
    return True


def _start(worker: Worker, given: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "scripts.fuzz_drill", "--seed", str(given.seed)]
    command += ["--journal", str(worker.journal)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(worker.numbers).encode())
    process.stdin.close()
    worker.process, worker.changed_s, worker.fresh = process, time.monotonic(), True
    worker.size = worker.journal.stat().st_size if worker.journal.exists() else 0


def _replace(worker: Worker, given: argparse.Namespace, reason: str) -> bool:
    """Note the file that a process ended with, and go on with the next one."""
    results, begun = results_in(worker.journal)
    done = {result.number for result in results}
    if begun is not None:
        fault = Result(begun, "", "fault", reason, given.limit)
        with worker.journal.open("a", encoding="utf-8") as stream:
            print(file=stream)
            print(json.dumps(vars(fault)), file=stream)
        done.add(begun)
    elif worker.numbers and not set(worker.numbers) <= done:
        raise SystemExit(f"a worker does not start: {reason}")
    worker.numbers = [number for number in worker.numbers if number not in done]
    worker.process = None
    return bool(worker.numbers)


def counts(results: Iterable[Result], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Number of files by kind and outcome, in the order of the kinds.

    Parameters
    ----------
    results
        The results.
    names
        Names of :func:`kinds`.
    """
    found: dict[str, dict[str, int]] = {
        name: dict.fromkeys(COLUMNS, 0) for name in dict.fromkeys(names)
    }
    for result in results:
        row = found[names[result.number % len(names)]]
        row["files"] += 1
        row[result.word] += 1
    return found


def write_table(results: Sequence[Result], names: Sequence[str], given: argparse.Namespace) -> None:
    """Write the counts and the faults as JSON and as a page in Markdown.

    Parameters
    ----------
    results
        The results.
    names
        Names of :func:`kinds`.
    given
        The command line.
    """
    machine, used = fingerprint().known(), versions()
    data = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "perfkit": used["perfkit"],
        "commits": commits_in(given.work),
        "python": used["python"],
        "machine": {name: machine[name] for name in ("cpu", "logical_cpus", "memory_bytes")},
        "seed": given.seed,
        "limit_s": given.limit,
        "wanted": given.files,
        "seconds": round(sum(result.seconds for result in results)),
        "kinds": counts(results, names),
        "faults": [
            {"number": one.number, "kind": names[one.number % len(names)], "detail": one.detail}
            for one in results
            if one.word == "fault"
        ],
    }
    write_whole(given.table.with_suffix(".json"), json.dumps(data, indent=1) + "\n", "counts")
    write_whole(given.table.with_suffix(".md"), "\n".join(_page(data)) + "\n", "table")


def _page(data: Mapping[str, Any]) -> Iterator[str]:
    machine, counted, faults = data["machine"], data["kinds"], data["faults"]
    total = {word: sum(row[word] for row in counted.values()) for word in COLUMNS}
    yield "# Damaged input files"
    yield ""
    yield (
        f"{total['files']:,} damaged files of {len(counted)} kinds, each used as perfkit uses it: "
        f"{total['accepted']:,} were accepted, {total['refused']:,} refused in one sentence with "
        f"exit code 2, and {total['fault']:,} were faults. A fault is a traceback, more than one "
        "sentence, a write outside the output folder, a process or code from a file, a changed "
        "file of the user, an element of a page from a name, a process that ended, or more than "
        f"{data['limit_s']:g} s."
    )
    yield ""
    unfinished = "" if total["files"] == data["wanted"] else ", which is not finished"
    yield (
        f"perfkit {data['perfkit']} ({', '.join(data['commits'])}), Python {data['python']}, "
        f"{machine['cpu']} with {machine['logical_cpus']} CPUs, {data['date']}. The command: "
        f"`python -m scripts.fuzz_drill --files {data['wanted']} --seed {data['seed']}`"
        f"{unfinished}. The damage is described in `tests/fuzz/damage.py`."
    )
    yield ""
    if faults:
        yield "The faults:"
        yield ""
        # A traceback ends with its error.
        yield from (
            f"- file {fault['number']}, {fault['kind']}: "
            f"{cut(fault['detail'].strip().splitlines()[-1])}"
            for fault in faults
        )
        yield ""
    yield f"| kind of file | {' | '.join(COLUMNS.values())} |"
    yield f"|---|{'---:|' * len(COLUMNS)}"
    for name, row in {**counted, "all": total}.items():
        yield f"| {name} | {' | '.join(f'{row[word]:,}' for word in COLUMNS)} |"


COLUMNS = {"files": "files", "accepted": "accepted", "refused": "refused", "fault": "faults"}
"""Key of a count -> heading of its column."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds per file")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time")
    parser.add_argument("--work", type=Path, default=Path("perfkit-results/fuzz-drill"))
    parser.add_argument("--table", type=Path, default=TABLE, help="files to write, no suffix")
    parser.add_argument("--only", type=int, help="number of one file to use again")
    parser.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the drill; 0 if all files are used without a fault."""
    given = _arguments()
    if given.journal is not None:
        work(json.load(sys.stdin), given.seed, given.journal)
        return 0
    if given.only is not None:
        with tempfile.TemporaryDirectory(prefix="perfkit-fuzz-") as name:
            print(use(given.only, given.seed, kinds(Path(name)), Path(name) / "work"))
        return 0
    run(given)
    found = sorted(all_results(given.work).values(), key=lambda result: result.number)
    results = [result for result in found if result.number < given.files]
    faults = [result for result in results if result.word == "fault"]
    for result in faults:
        print(f"file {result.number}: {result.detail}\n")
    print(f"{len(results)} of {given.files} files, {len(faults)} faults", flush=True)
    with tempfile.TemporaryDirectory() as name:
        names = [kind.name for kind in kinds(Path(name))]
    write_table(results, names, given)
    return 1 if faults or len(results) < given.files else 0


if __name__ == "__main__":
    raise SystemExit(main())
