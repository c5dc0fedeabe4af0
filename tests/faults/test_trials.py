"""A worker that misbehaves leaves one record with the right reason, and no process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.records.journal import PATTERN
from perfkit.records.schema import Outcome
from perfkit.records.store import Store, read_records
from perfkit.trial.launcher import run_trial
from perfkit.trial.log_limit import MOST_BYTES
from tests.support.faults.groups import memory_limited
from tests.support.faults.survivors import marked, survivors
from tests.support.faults.trials import FLOOD_BYTES, TRIAL_FAULTS, shell_trial
from tests.support.processes import wait_for_end

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TRIAL_FAULTS)
def test_a_worker_that_misbehaves_is_one_record_and_leaves_no_process(
    name: str, tmp_path: Path
) -> None:
    fault = TRIAL_FAULTS[name]
    with marked() as mark:
        record = fault.run(tmp_path)
        left = survivors(mark)
    assert fault.fault_of(record) == ""
    assert left == []
    Store(tmp_path).append(record)
    assert [one.id for one in read_records(tmp_path)] == [record.id]
    assert list(tmp_path.glob(PATTERN)) == []


def test_a_flood_of_output_does_not_fill_the_disk(tmp_path: Path) -> None:
    record = TRIAL_FAULTS["floods its output"].run(tmp_path)
    log = tmp_path / record.artifacts["log"]
    assert FLOOD_BYTES > MOST_BYTES > 100 * log.stat().st_size
    assert log.read_text().startswith("... ")
    (warning,) = [text for text in record.warnings if "printed more than" in text]
    assert "of which the log keeps the end" in warning


ALLOCATES = """
echo $$ > {group}/cgroup.procs
exec {python} -c 'held = bytearray(b"x") * 1_000_000_000; print(len(held))'
"""


def test_a_worker_that_the_kernel_kills_for_memory_is_out_of_memory(tmp_path: Path) -> None:
    with memory_limited(100_000_000) as group:
        script = ALLOCATES.format(group=group, python=sys.executable)
        record = run_trial(shell_trial(tmp_path, script), 1)
    assert record.outcome is Outcome.OUT_OF_MEMORY
    assert record.reason.startswith("killed by signal 9; ")


PARENT = """
import sys
from pathlib import Path
from tests.support.faults.trials import shell_trial
trial = shell_trial(Path(sys.argv[1]), sys.argv[2])
trial.start()
print(trial.pid, trial.folder, flush=True)
trial.wait_ready()
"""

BACKGROUND = '/bin/sleep 600 & echo $! > "${0%/*}/child"; echo > "${0%/*}/begun"; '


@pytest.mark.parametrize(
    "script", ["while :; do :; done", "kill -STOP $$"], ids=["computes", "is stopped"]
)
def test_no_process_of_a_trial_survives_a_kill_of_perfkit(tmp_path: Path, script: str) -> None:
    """The worker does not read its input, as in a long call that holds Python's lock."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), BACKGROUND + script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    worker, folder = parent.stdout.readline().split(maxsplit=1)
    begun = Path(folder.strip()) / "begun"
    while not begun.exists():
        assert parent.poll() is None
    child = int(begun.with_name("child").read_text())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for_end(int(worker))
    wait_for_end(child)
