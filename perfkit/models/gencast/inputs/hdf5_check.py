"""Refuses HDF5 files that the HDF5 library reads without end, or crashes over.

HDF5 trusts what it reads. An object of size 0 in a global heap, which holds texts and references
to the dimensions of variables, is read again and again (HDFGroup/hdf5, issue 1707), and native code
cannot be interrupted within a process. A file is therefore read in another process first, which
the kernel ends after a limit of CPU time. A file that passed is noted in the cache and not read
again while it is unchanged; the processes of trials find it there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from perfkit.cache import Entry, load_value, store_value
from perfkit.errors import UserError
from perfkit.files import JsonData, reason_of
from perfkit.lifeline import Lifeline

COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "perfkit.models.gencast.inputs.hdf5_walk")
"""Command of the process that reads files. Their names go through its standard input."""

LEAST_LIMIT_S = 3
"""Seconds of CPU time that the structure of a small file may take."""

BYTES_PER_S = 50_000_000
"""Bytes of a file for which it may take one more second of CPU time."""

WALL_FACTOR, WALL_S = 10, 60.0
"""The limit of wall time is this many times that of CPU time, plus these seconds: other programs
may use the CPUs, and file systems may be slow."""

FORMAT_VERSION = 1
"""Raised whenever more of a file is read."""


type Read = Callable[[Path, int], int]
"""Reads a file within seconds of CPU time, and returns the exit code of the process that did."""


def refuse_unreadable(path: Path, limit_s: int | None = None, read: Read | None = None) -> None:
    """Refuse an HDF5 file whose structure the library cannot read to its end.

    Errors that the library reports are left to the reader of the file.

    Parameters
    ----------
    path
        Existing HDF5 file.
    limit_s
        Seconds of CPU time; by default :data:`LEAST_LIMIT_S` and more for large files.
    read
        Reads the file; by default in another process.

    Raises
    ------
    UserError
        HDF5 reads without end or crashes, or no process can be started.
    """
    entry = _entry(path)
    if _is_known(entry):
        return
    if limit_s is None:
        limit_s = LEAST_LIMIT_S + path.stat().st_size // BYTES_PER_S
    with checks_in_one_process():
        code = (read or _current.exit_code)(path, limit_s)
    if code:
        raise UserError(f"{path} is damaged: {_ending(-code, limit_s)}; copy or download it again")
    # Where the cache cannot be written, the file is read again next time.
    with contextlib.suppress(UserError):
        store_value(entry, True)


def _ending(number: int, limit_s: int) -> str:
    """What HDF5 did that ended its process with a signal."""
    if number in (signal.SIGXCPU, signal.SIGALRM):
        return f"HDF5 does not finish reading it within {limit_s} s of CPU time"
    return f"HDF5 ends with {signal.Signals(number).name} while it reads the file"


def _entry(path: Path) -> Entry:
    """The note in the cache that a file was read; another one once it is changed or replaced."""
    import h5py

    state = path.stat()
    depends_on: dict[str, JsonData] = {
        "format": FORMAT_VERSION,
        "hdf5": h5py.version.hdf5_version,
        "path": str(path.resolve()),
        "inode": state.st_ino,
        "bytes": state.st_size,
        "changed_ns": state.st_mtime_ns,
        "inode_changed_ns": state.st_ctime_ns,
    }
    return Entry("readable-files", "note on a file that HDF5 can read", depends_on)


def _is_known(entry: Entry) -> bool:
    try:
        return load_value(entry) is True
    except UserError:
        # There is no cache folder.
        return False


@contextlib.contextmanager
def checks_in_one_process() -> Iterator[None]:
    """Check all files of a block in one process, which imports h5py once."""
    outermost, _current.kept = not _current.kept, True
    try:
        yield
    finally:
        if outermost:
            _current.kept = False
            _current.close()


class _Current(threading.local):
    """The process of the block that a thread is in, started for its first file."""

    def __init__(self) -> None:
        self.kept = False
        self._walker: _Walker | None = None

    def exit_code(self, path: Path, limit_s: int) -> int:
        """The exit code of the process that has read a file; negative for a signal."""
        if self._walker is None:
            self._walker = _Walker()
        try:
            return self._walker.exit_code(path, limit_s)
        except BaseException:
            # An answer that nobody has read would be taken for that of the next file.
            self.close()
            raise

    def close(self) -> None:
        """End the process, if there is one."""
        walker, self._walker = self._walker, None
        if walker is not None:
            walker.close()


class _Walker:
    """The process that reads files; see :mod:`perfkit.models.gencast.inputs.hdf5_walk`."""

    def __init__(self) -> None:
        self._line = Lifeline()
        try:
            self._process = subprocess.Popen(
                COMMAND,
                # Threads of a library for linear algebra would not survive the fork.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                pass_fds=(self._line.descriptor,),
                process_group=0,
            )
        except OSError as error:
            self._line.cut()
            raise UserError(
                f"the process that checks HDF5 files cannot be started ({reason_of(error)})"
            ) from error
        self._line.tie(-self._process.pid)

    def exit_code(self, path: Path, limit_s: int) -> int:
        """The exit code of the process that has read a file; negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = [str(path.resolve()), limit_s, WALL_FACTOR * limit_s + WALL_S]
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise UserError(
                f"{path} cannot be checked: the process that reads it has ended; check that "
                f"{sys.executable} -c 'import h5py' works"
            )
        return int(answer)

    def close(self) -> None:
        """End the process, and the one of the file that it reads."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._line.cut()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


_current = _Current()
