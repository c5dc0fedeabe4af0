"""HDF5 files that the library reads without end, or crashes over, are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.hdf5_check import checks_in_one_process, refuse_unreadable
from perfkit.paths import CACHE_VARIABLE
from tests.support.faults.survivors import marked, survivors


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache: no file is known to be readable."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def intact(tmp_path: Path) -> Path:
    path = tmp_path / "intact.nc"
    with h5py.File(path, "w") as file:
        file["x"] = [1.0, 2.0]
        file["y"] = [3.0, 4.0]
        file["x"].make_scale()
        file["y"].dims[0].attach_scale(file["x"])
    return path


@pytest.fixture
def endless(intact: Path) -> Path:
    """The file with zeros in place of the header of the first object in its global heap.

    The header holds the object's index (2 bytes), its number of references (2), nothing (4) and its
    size (8), and follows the 16 bytes of the header of the heap (HDF5 File Format Specification,
    III.E). Index 0 stands for the free space at the end of the heap, whose size includes its
    header, so that HDF5 finds the next object at the same place.
    """
    data = intact.read_bytes()
    place = data.index(b"GCOL") + 16
    path = intact.with_name("endless.nc")
    path.write_bytes(data[:place] + bytes(16) + data[place + 16 :])
    return path


READ = """
import resource, sys, time
import h5py
with h5py.File(sys.argv[1]) as file:
    limit_s = int(time.process_time()) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(file["y"].attrs["DIMENSION_LIST"])
"""


def test_hdf5_itself_reads_the_damaged_file_without_end(intact: Path, endless: Path) -> None:
    """Once it does not, the files need no check any more."""
    codes = [
        subprocess.run([sys.executable, "-c", READ, str(path)], check=False).returncode
        for path in (intact, endless)
    ]
    assert codes == [0, -signal.SIGXCPU]


def test_a_file_that_hdf5_reads_without_end_is_refused(endless: Path) -> None:
    command = [sys.executable, "-m", "perfkit", "run", "--model", "gencast"]
    command += ["--input", str(endless)]
    with marked() as mark:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        assert survivors(mark) == []
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == (
        f"perfkit: {endless} is damaged: HDF5 does not finish reading it within 3 s of CPU time; "
        "copy or download it again"
    )


def test_one_process_reads_further_files_after_one_without_end(endless: Path, intact: Path) -> None:
    with checks_in_one_process():
        with pytest.raises(UserError, match="within 1 s of CPU time"):
            refuse_unreadable(endless, limit_s=1)
        refuse_unreadable(intact, limit_s=1)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, "HDF5 ends with SIGSEGV while it reads the file"),
        (signal.SIGALRM, "HDF5 does not finish reading it within 7 s of CPU time"),
    ],
)
def test_a_file_that_ends_its_process_is_refused(
    intact: Path, number: signal.Signals, reason: str
) -> None:
    with pytest.raises(UserError, match=f"intact.nc is damaged: {reason}; copy or download it"):
        refuse_unreadable(intact, 7, lambda path, limit_s: -number)


def test_a_file_is_read_once_until_it_changes(intact: Path) -> None:
    read = list[Path]()

    def reads(path: Path, limit_s: int) -> int:
        read.append(path)
        return 0

    refuse_unreadable(intact, read=reads)
    refuse_unreadable(intact, read=reads)
    assert read == [intact]
    with h5py.File(intact, "r+") as file:
        file["x"][0] = 5.0
    refuse_unreadable(intact, read=reads)
    assert read == [intact, intact]


def test_a_file_is_read_without_a_cache(intact: Path, cache: Path) -> None:
    cache.write_bytes(b"a file in place of the folder")
    refuse_unreadable(intact)


def test_the_check_opens_no_other_file(tmp_path: Path) -> None:
    path, pipe = tmp_path / "links.nc", tmp_path / "pipe"
    # Whoever opens the pipe waits for its other end.
    os.mkfifo(pipe)
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink(str(pipe), "/x")
        file.create_dataset("storage", (4,), "f4", external=[(str(pipe), 0, 16)])
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(pipe), "x", (4,))
        file.create_virtual_dataset("virtual", layout)
    refuse_unreadable(path)
