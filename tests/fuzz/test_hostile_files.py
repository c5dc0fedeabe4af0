"""Files that name other files, unpack to gigabytes, or hold values that no program writes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from perfkit.answers.ensembles import compare_folders
from perfkit.cli.main import main
from perfkit.cluster.local_place import LocalPlace
from perfkit.cluster.place import JobState
from perfkit.errors import UserError
from perfkit.files import make_executable
from perfkit.knobs.parsers import any_text
from perfkit.knobs.xla_flags import names_file
from perfkit.shared_study.leases import read_worker
from perfkit.tuning.preset import load_preset
from tests.support.structure import MODEL
from tests.support.toy_worker import toy_plan, toy_study


def _preset(folder: Path, text: str) -> Path:
    path = folder / "preset.toml"
    path.write_text(f"model = 'af3'\n{text}")
    return path


def test_a_preset_cannot_make_xla_write_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sets xla_dump_to, by which XLA reads or writes files"):
        load_preset(_preset(tmp_path, "[knobs]\nxla_dump_to = 'folder'\n"))


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("xla_dump_to", True),
        ("xla_dump_hlo_as_text", True),
        ("xla_enable_dumping", True),
        ("xla_gpu_cuda_data_dir", True),
        ("xla_gpu_kernel_cache_file", True),
        ("xla_gpu_load_autotune_results_from", True),
        ("xla_cpu_use_onednn", False),
        ("xla_cpu_prefer_vector_width", False),
        ("xla_cpu_max_isa", False),
        ("xla_cpu_parallel_codegen_split_count", False),
    ],
)
def test_flags_that_name_files_are_known_by_their_names(flag: str, expected: bool) -> None:
    assert names_file(flag) is expected


@pytest.mark.parametrize("text", ["a\0b", "a\x1b[2J", "a b", "a\u202eb"])
def test_a_flag_takes_one_printable_word(text: str) -> None:
    with pytest.raises(ValueError, match="one word without blanks and control characters"):
        any_text(text)


def test_a_long_name_in_a_file_makes_no_long_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knob = "x" * 100_000
    assert main(["preset", "show", str(_preset(tmp_path, f"[knobs]\n{knob} = '{knob}'\n"))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("perfkit: unknown knob 'xxx")
    assert len(line) < 400


def test_a_preset_for_impossibly_many_instances_is_refused(tmp_path: Path) -> None:
    text = f"[knobs]\n[instances]\ncount = {'9' * 4000}\ncpus = 1\n"
    with pytest.raises(UserError, match="whole numbers 'count' and 'cpus' from 1 to 65,536"):
        load_preset(_preset(tmp_path, text))


@pytest.mark.parametrize("form", ["gzip", "lzma", "zstandard"])
def test_a_packed_file_is_measured_without_unpacking_it_whole(tmp_path: Path, form: str) -> None:
    compress = pytest.importorskip(form).compress
    from perfkit.models.af3.inputs.unpacked import unpacked_bytes

    path = tmp_path / "msa"
    path.write_bytes(compress(b"\0" * 5_000_000))
    assert path.stat().st_size < 50_000
    assert unpacked_bytes(path) == 5_000_000
    # Blocks of a mebibyte are counted until the limit is exceeded.
    assert unpacked_bytes(path, most_bytes=2_000_000) == 2 * 2**20
    path.write_bytes(path.read_bytes()[:-9])
    assert unpacked_bytes(path) <= 5_000_000
    path.write_bytes(b"plain")
    assert unpacked_bytes(path) == 5


def test_weights_that_unpack_to_more_than_the_memory_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("alphafold3")
    from perfkit.models.af3.weights import real_parameters

    # A frame of zstd that states its size, an exabyte, in 8 bytes, and holds nothing (RFC 8878,
    # section 3.1.1.1): magic number, descriptor, window descriptor, size.
    header = b"\x28\xb5\x2f\xfd" + bytes([0b1100_0000, 0]) + (10**18).to_bytes(8, "little")
    (tmp_path / "af3.bin.zst").write_bytes(header)
    with pytest.raises(UserError, match=r"need 1000 PB of memory, but .* are free"):
        real_parameters(tmp_path, float32=True)


@pytest.mark.parametrize("how", ["link", "storage", "virtual"])
def test_a_netcdf_file_cannot_take_values_from_other_files(tmp_path: Path, how: str) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("h5netcdf")
    from perfkit.models.gencast.inputs.netcdf import open_dataset

    path, secret = tmp_path / "input.nc", tmp_path / "secret"
    secret.write_bytes(bytes(16))
    with h5py.File(path, "w") as file:
        if how == "link":
            file["values"] = h5py.ExternalLink(str(secret), "/x")
        elif how == "storage":
            file.create_dataset("values", (4,), "f4", external=[(str(secret), 0, 16)])
        else:
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
            file.create_virtual_dataset("values", layout)
    with pytest.raises(UserError, match="the values of values are in another file"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("-1.816", "nan", "has no atoms, or values of atoms that are not finite"),
        ("-1.816", "x", "is not a readable mmCIF file"),
        ("loop_", "loop", "is not a readable mmCIF file"),
        ("80.25 1 A 1", "80.25 1 A", "is not a readable mmCIF file"),
    ],
)
def test_a_structure_without_finite_positions_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    pytest.importorskip("biotite")
    for name, text in (("a", MODEL), ("b", MODEL.replace(old, new))):
        folder = tmp_path / name / "seed-1_sample-0"
        folder.mkdir(parents=True)
        (folder / "model.cif").write_text(text)
    with pytest.raises(UserError, match=reason):
        compare_folders(tmp_path / "a", tmp_path / "b")


def test_a_job_with_a_process_number_of_thousands_of_digits_has_ended() -> None:
    host = os.uname().nodename
    (job,) = LocalPlace().jobs([f"{host}:{'9' * 5000}-1"])
    assert job.state is JobState.ENDED


@pytest.mark.parametrize("line", [b"{}", b"[]", b'{"name": 1, "host": "h", "pid": 2}', b"\xff"])
def test_a_damaged_worker_is_none(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of pydantic, whatever its text
        read_worker(line)


def test_damaged_records_of_a_unit_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = toy_study(tmp_path, toy_plan([0.1]))
    (unit,) = study.plan.units
    (tmp_path / f"records-unit-{unit.key}.jsonl").write_text(json.dumps({"id": 1}) + "\n")
    workers = tmp_path / "sharing" / "workers"
    workers.mkdir(parents=True)
    (workers / "w.json").write_text('{"name": "w", "host": "h", "pid": 1}')
    (workers / "w.end").write_text("{}")
    assert main(["status", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"records-unit-{unit.key}.jsonl cannot be read" in line
    assert "delete the file, and the unit is measured again" in line


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o077, 0o700)])
def test_a_script_may_be_run_by_those_who_may_read_it(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "script").write_text("")
    finally:
        os.umask(before)
    make_executable(tmp_path / "script")
    assert stat.S_IMODE((tmp_path / "script").stat().st_mode) == mode


def test_a_variable_in_millions_of_chunks_that_do_not_exist_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("h5netcdf")
    from perfkit.models.gencast.inputs.netcdf import open_dataset, read_numbers

    path = tmp_path / "input.nc"
    with h5py.File(path, "w") as file:
        file.create_dataset("time", (2_500, 2_000), "f4", chunks=(2, 1), fillvalue=0)
        for axis, length in enumerate((2_500, 2_000)):
            file[f"axis{axis}"] = range(length)
            file[f"axis{axis}"].make_scale()
            file["time"].dims[axis].attach_scale(file[f"axis{axis}"])
    assert path.stat().st_size < 100_000
    with (
        open_dataset(path) as dataset,
        pytest.raises(UserError, match="time is stored in 2,500,000 chunks, more than 1,000,000"),
    ):
        read_numbers(dataset, "time", path)
