"""Other perfkit processes on the machine, found among made-up processes."""

from __future__ import annotations

from pathlib import Path

from perfkit.trial.conditions.neighbours import Neighbour, neighbours, neighbours_sentence

WORKER = ("python", "-m", "perfkit.trial.worker", "spec.json", "5")


def _processes(folder: Path, *processes: tuple[int, int, tuple[str, ...]]) -> Path:
    """A folder like ``/proc`` of processes, each given as process ID, parent and command line."""
    for pid, parent, arguments in processes:
        own = folder / str(pid)
        own.mkdir(parents=True)
        (own / "cmdline").write_text("\0".join(arguments) + "\0")
        (own / "stat").write_text(f"{pid} (a) b) S {parent} 0 0")
    (folder / "self").mkdir()
    return folder


OWN, OTHER = 2**30 + 1, 2**30 + 100
"""Process IDs above any real one."""


def test_a_command_and_its_workers_are_one_neighbour(tmp_path: Path) -> None:
    proc = _processes(
        tmp_path,
        (OWN, 1, ("python", "/x/bin/perfkit", "tune", "--model", "af3")),
        (OTHER, 1, ("python", "-m", "perfkit", "sweep")),
        (OTHER + 1, OTHER, WORKER),
        (OTHER + 2, OTHER, WORKER),
    )
    found = neighbours(proc, OWN, {0})
    assert found == [Neighbour(OTHER, "perfkit sweep", True)]
    assert neighbours_sentence(found) == (
        f"another perfkit is measuring on this machine (perfkit sweep in process {OTHER}) on the "
        "same CPUs: they make each other's times longer and less certain"
    )


def test_own_trials_and_the_own_command_are_no_neighbours(
    tmp_path: Path,
) -> None:
    proc = _processes(
        tmp_path,
        (OWN - 1, 1, ("python", "/x/bin/perfkit", "calibrate")),
        (OWN, OWN - 1, ("python", "/x/bin/perfkit", "tune")),
        (OWN + 1, OWN, WORKER),
        (OWN + 2, OWN + 1, WORKER),
    )
    assert neighbours(proc, OWN, {0}) == []
    assert neighbours_sentence([]) is None


def test_a_process_that_does_not_measure_is_no_neighbour(tmp_path: Path) -> None:
    proc = _processes(
        tmp_path,
        (OWN, 1, ("python", "notebook")),
        (OTHER, 1, ("/x/bin/perfkit", "report", "folder")),
        (OTHER + 1, 1, ("vim", "perfkit/trial/worker/worker.py")),
        (OTHER + 2, 1, ("less", "perfkit-results/run")),
    )
    assert neighbours(proc, OWN, {0}) == []


def test_the_worker_of_a_notebook_is_found(tmp_path: Path) -> None:
    proc = _processes(tmp_path, (OTHER, 1, ("python", "notebook")), (OTHER + 1, OTHER, WORKER))
    assert neighbours(proc, OWN, {0}) == [Neighbour(OTHER + 1, "a trial", True)]


def test_neighbours_on_other_cpus_share_memory_bandwidth() -> None:
    found = [Neighbour(7, "perfkit run", False), Neighbour(8, "a trial", False)]
    assert neighbours_sentence(found) == (
        "2 other perfkits are measuring on this machine (perfkit run in process 7, a trial in "
        "process 8) on other CPUs: memory bandwidth and caches are shared"
    )
