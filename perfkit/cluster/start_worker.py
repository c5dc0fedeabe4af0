"""Start a worker on exactly the CPUs that Slurm granted.

``python -m perfkit.cluster.start_worker COMMAND...`` replaces itself by the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from perfkit.cluster.bind import exec_on_cpus
from perfkit.errors import UserError
from perfkit.knobs.cpus import allowed_cpus
from perfkit.printable import printable

PER_TASK, ON_NODE = "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"


def granted_cpus(environment: Mapping[str, str], allowed: int) -> int:
    """Number of CPUs that Slurm granted to a worker on this node.

    Parameters
    ----------
    environment
        Variables that Slurm sets. The CPUs of the task come first, as a node may give more: Slurm
        grants whole cores.
    allowed
        Number of CPUs that this process may use; it bounds the result.
    """
    for name in (PER_TASK, ON_NODE):
        text = environment.get(name, "")
        if text.isascii() and text.isdecimal() and len(text) < 9 and int(text) > 0:
            return min(int(text), allowed)
    return allowed


def start(command: Sequence[str]) -> NoReturn:
    """Replace this process by a command that is bound to the granted CPUs.

    The signals of the scheduler then reach the command itself.

    Raises
    ------
    UserError
        The CPUs cannot be locked, or the command cannot be run.
    """
    exec_on_cpus(command, granted_cpus(os.environ, len(allowed_cpus())))


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2:
            raise UserError("usage: python -m perfkit.cluster.start_worker COMMAND...")
        start(sys.argv[1:])
    except UserError as error:
        print(f"perfkit: {printable(str(error))}", file=sys.stderr)
        sys.exit(UserError.exit_code)
