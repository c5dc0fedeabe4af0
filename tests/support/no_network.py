"""Forbids network connections in all Python processes of a command, and notes attempts."""

from __future__ import annotations

import os
from pathlib import Path

LOG_VARIABLE = "PERFKIT_TEST_NETWORK_LOG"
"""Variable with the file of the attempts. Trials inherit variables of this prefix."""

_SITECUSTOMIZE = f'''
import os
import sys

_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_CALLS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")


def _event(event, arguments):
    # The address of a Unix socket is the path of a file.
    if event in _LOOK_UPS or (event in _CALLS and isinstance(arguments[1], tuple)):
        with open(os.environ["{LOG_VARIABLE}"], "a") as log:
            print(event, arguments[-1], sys.argv, file=log)
        raise PermissionError("this test forbids the network")


sys.addaudithook(_event)
'''


def without_network(folder: Path) -> dict[str, str]:
    """An environment whose Python processes cannot use the network.

    Parameters
    ----------
    folder
        Folder for ``sitecustomize``, which is put on ``PYTHONPATH``, and for the attempts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        LOG_VARIABLE: str(folder / "attempts"),
    }


def attempts(folder: Path) -> list[str]:
    """The attempts of all processes so far, one line each."""
    log = folder / "attempts"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []
