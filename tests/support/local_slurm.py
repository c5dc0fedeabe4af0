"""A real Slurm on this machine, with its own munge, controller and node, in a temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
NODES = ("localhost",)
CPUS = 2
MEMORY_MB = 8000
READY_S = 60.0

SPARE, URGENT = "spare", "urgent"
"""Partitions: jobs of the first are ended, and those of the default one requeued, once jobs of
the second need their nodes."""

ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacct", "sacctmgr")
"""Programs of Slurm's accounting: its daemon, the database that it writes to, and its commands."""

POLLED_MEMORY = """JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill"""
"""Jobs that exceed their memory are ended; control groups, which need more rights, are not used."""


CPUSETS = Path("/sys/fs/cgroup/cpuset")
CONTROL_GROUPS = """CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainCores=yes
"""


def cpuset_plugins() -> str:
    """What binds tasks here: a mask of CPUs, and a cpuset where control groups can be made."""
    usable = (CPUSETS / "cgroup.procs").exists() and os.access(CPUSETS, os.W_OK)
    return "task/affinity,task/cgroup" if usable else "task/affinity"


@dataclass(frozen=True)
class Slurm:
    """A running Slurm; its commands find it through ``environment``."""

    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]]

    def restart_controller(self) -> None:
        """End the controller, and start it again. Killed, it would forget the last seconds."""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait(timeout=30)
        self.daemons["slurmctld"] = _start(["slurmctld", "-D"], self.environment)

    def lose_node(self, node: str) -> None:
        """End the daemon of a node, and let the controller know that the node is lost."""
        self.daemons[node].kill()
        self.daemons[node].wait(timeout=30)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def restore_node(self, node: str) -> None:
        """Start the daemon of a lost node again."""
        self.daemons[node] = _start(["slurmd", "-D", "-N", node], self.environment)
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def run(self, *command: str) -> str:
        """The standard output of a command that must succeed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_until_empty(self, limit_s: float) -> None:
        """Wait until no job is left in the queue."""
        deadline_s = time.monotonic() + limit_s
        while self.run("squeue", "--noheader"):
            assert time.monotonic() < deadline_s, self.run("squeue")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _database_configuration(folder: Path, port: int, database_port: int) -> str:
    return f"""
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={socket.gethostname()}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=root
StorageLoc=accounts
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


def _configuration(
    folder: Path,
    nodes: Sequence[str],
    *,
    polls_memory: bool,
    task_plugins: str,
    accounting_port: int | None,
) -> str:
    host = socket.gethostname()
    accounting = "AccountingStorageType=accounting_storage/none"
    if accounting_port is not None:
        accounting = f"""AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket"""
    named = "\n".join(
        f"NodeName={node} NodeAddr=127.0.0.1 NodeHostname={host} Port={_free_port()} "
        f"CPUs={CPUS} RealMemory={MEMORY_MB} State=UNKNOWN"
        for node in nodes
    )
    return f"""
ClusterName=perfkit
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={_free_port()}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugins}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{accounting}
{POLLED_MEMORY if polls_memory else "JobAcctGatherType=jobacct_gather/none"}
KillWait=5
OverTimeLimit=0
{named}
PartitionName=main Nodes={",".join(nodes)} Default=YES MaxTime=INFINITE State=UP
PartitionName={SPARE} Nodes={",".join(nodes)} MaxTime=INFINITE State=UP PreemptMode=CANCEL
PartitionName={URGENT} Nodes={",".join(nodes)} MaxTime=INFINITE State=UP PriorityTier=10
"""


@contextmanager
def local_slurm(
    folder: Path,
    nodes: Sequence[str] = NODES,
    *,
    polls_memory: bool = False,
    task_plugins: str = "task/none",
    accounting: bool = False,
) -> Iterator[Slurm]:
    """Run Slurm's daemons on loopback for a block; skip the test where they are not installed.

    Each node has a daemon of its own on this machine.

    Parameters
    ----------
    folder
        Folder for everything that the daemons write.
    nodes
        Names of the nodes.
    polls_memory
        Whether jobs that exceed their memory are ended.
    task_plugins
        What binds tasks to CPUs, ``TaskPlugin`` of slurm.conf; by default nothing does.
    accounting
        Whether ``sacct`` knows the jobs, from a database of this Slurm's own.
    """
    wanted = (*PROGRAMS, *(ACCOUNTING_PROGRAMS if accounting else ()))
    missing = [name for name in wanted if shutil.which(name, path=_PATH) is None]
    if missing:
        packages = "slurm-wlm munge slurmdbd mariadb-server" if accounting else "slurm-wlm munge"
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): apt install {packages}")
    if os.getuid() != 0:
        pytest.skip("a Slurm of the test's own needs root")
    for name in ("state", *(f"spool-{node}" for node in nodes)):
        (folder / name).mkdir()
    accounting_port, database_port = _free_port(), _free_port()
    configuration = _configuration(
        folder,
        nodes,
        polls_memory=polls_memory,
        task_plugins=task_plugins,
        accounting_port=accounting_port if accounting else None,
    )
    (folder / "slurm.conf").write_text(configuration)
    (folder / "cgroup.conf").write_text(CONTROL_GROUPS)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    # munged refuses sockets below folders that others could replace.
    folder.chmod(0o711)
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}
    commands: dict[str, list[str]] = {
        "munged": [
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        ],
        **(_accounting_commands(folder, accounting_port, database_port) if accounting else {}),
        "slurmctld": ["slurmctld", "-D"],
        **{node: ["slurmd", "-D", "-N", node] for node in nodes},
    }  # fmt: skip
    running = Slurm(environment, {})
    try:
        for name, command in commands.items():
            running.daemons[name] = _start(command, environment)
            if name not in nodes:
                time.sleep(1.0)
            if name == "slurmdbd":
                _register(running, folder)
        _wait_until_idle(running, folder)
        yield running
    finally:
        for daemon in reversed(running.daemons.values()):
            daemon.terminate()
        for daemon in running.daemons.values():
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                # A daemon of a node waits for jobs that hang.
                daemon.kill()
                daemon.wait()


def _accounting_commands(folder: Path, port: int, database_port: int) -> dict[str, list[str]]:
    """Make an empty database; the commands that start it, and the daemon that writes to it."""
    data = folder / "database"
    made = subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
            "--auth-root-authentication-method=normal", "--skip-test-db",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    configuration = folder / "slurmdbd.conf"
    configuration.write_text(_database_configuration(folder, port, database_port))
    # The daemon refuses a file that others may read.
    configuration.chmod(0o600)
    return {
        "mariadbd": [
            "mariadbd", "--no-defaults", f"--datadir={data}", "--user=root",
            f"--socket={folder}/database.socket", "--bind-address=127.0.0.1",
            f"--port={database_port}", f"--pid-file={folder}/database.pid",
            f"--log-error={folder}/database.log",
        ],
        "slurmdbd": ["slurmdbd", "-D"],
    }  # fmt: skip


def _register(running: Slurm, folder: Path) -> None:
    """Tell the accounting of the cluster, once its daemon answers."""
    deadline_s = time.monotonic() + READY_S
    command = ["sacctmgr", "--immediate", "add", "cluster", "perfkit"]
    while True:
        done = subprocess.run(
            command, env=running.environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0 or "already exists" in done.stdout + done.stderr:
            return
        if time.monotonic() > deadline_s:
            pytest.fail(f"no accounting: {done.stdout}{done.stderr}\n{_ends_of_logs(folder)}")
        time.sleep(0.5)


def _ends_of_logs(folder: Path) -> str:
    return "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")))


def _start(command: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _wait_until_idle(running: Slurm, folder: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        completed = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env=running.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if set(completed.stdout.split()) == {"idle"}:
            return
        time.sleep(0.5)
    answer = completed.stdout + completed.stderr
    pytest.fail(f"Slurm did not become idle: {answer}\n{_ends_of_logs(folder)}")
