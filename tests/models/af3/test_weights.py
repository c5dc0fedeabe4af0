"""Parameters: synthetic ones follow the rule, real ones are read, damaged ones are refused."""

from __future__ import annotations

import math
import mmap
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.af3.synthetic_weights import (
    SEED,
    ParameterShape,
    fan_in,
    shapes_of,
    synthetic_parameters,
    values,
)
from perfkit.models.af3.weights import (
    Parameters,
    check_model_dir,
    let_go,
    real_parameters,
    synthetic_parameters_mapped,
)
from perfkit.paths import CACHE_VARIABLE

ROOT = Path(__file__).parents[3]

STACK = "diffuser/evoformer/__layer_stack_no_per_layer/trunk"

TREE = {
    "diffuser/left": {
        "weights": SimpleNamespace(shape=(256, 64), dtype="bfloat16"),
        "bias": SimpleNamespace(shape=(64,), dtype="float32"),
    },
    "diffuser/odd": {"weights": SimpleNamespace(shape=(3, 5), dtype="float32")},
    "diffuser/norm": {"scale": SimpleNamespace(shape=(), dtype="float32")},
}


@pytest.mark.parametrize(
    ("module", "name", "shape", "expected"),
    [
        ("diffuser/linear", "weights", (256, 64), 256),
        # A stack of 48 layers holds 48 matrices with 128 inputs each.
        (f"{STACK}/linear", "weights", (48, 128, 512), 128),
        # Pair attention stores its queries as heads, width, inputs.
        (f"{STACK}/pair_attention1/q_projection", "weights", (48, 4, 32, 128), 128),
        (f"{STACK}/pair_attention1/k_projection", "weights", (48, 4, 32, 128), 128),
        # The outer product sums over the channels of both factors.
        (f"{STACK}/outer_product_mean", "output_w", (4, 32, 32, 128), 32 * 32),
    ],
)
def test_fan_in_is_the_number_of_inputs_that_a_weight_sums_over(
    module: str, name: str, shape: tuple[int, ...], expected: int
) -> None:
    assert fan_in(ParameterShape(module, name, shape, "bfloat16")) == expected


@pytest.mark.parametrize(
    ("module", "name", "deviation"),
    [
        ("diffuser/linear", "weights", 1 / math.sqrt(400)),
        ("diffuser/block/output_projection", "weights", 0.3 / math.sqrt(400)),
        ("diffuser/block/transition2", "weights", 0.3 / math.sqrt(400)),
    ],
)
def test_weights_have_the_standard_deviation_of_the_rule(
    module: str, name: str, deviation: float
) -> None:
    shape = ParameterShape(module, name, (400, 500), "float32")
    drawn = values(shape, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert drawn.mean() == pytest.approx(0.0, abs=deviation * 0.02)


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("diffuser/norm", "scale", 1.0),
        ("diffuser/norm", "offset", 0.0),
        ("diffuser/outer_product_mean", "output_b", 0.0),
        ("diffuser/linear", "bias", 0.0),
        ("diffuser/block/adaptive_zero_cond", "bias", -2.0),
    ],
)
def test_scales_and_biases_are_constant(module: str, name: str, expected: float) -> None:
    drawn = values(ParameterShape(module, name, (7,), "float32"), np.random.default_rng(0))
    assert (drawn == expected).all()


def test_the_same_seed_gives_the_same_values() -> None:
    listed = shapes_of(TREE)
    first = [array for _, array in synthetic_parameters(listed)]
    second = [array for _, array in synthetic_parameters(listed, SEED)]
    other = [array for _, array in synthetic_parameters(listed, SEED + 1)]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[1], other[1])


def test_shapes_are_listed_in_order_of_their_names() -> None:
    listed = [(shape.module, shape.name) for shape in shapes_of(TREE)]
    assert listed == [
        ("diffuser/left", "bias"),
        ("diffuser/left", "weights"),
        ("diffuser/norm", "scale"),
        ("diffuser/odd", "weights"),
    ]


def test_mapped_parameters_are_generated_once_and_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    asked: list[int] = []

    def shapes() -> Any:
        asked.append(1)
        return TREE

    narrow = synthetic_parameters_mapped(shapes, float32=False)
    wide = synthetic_parameters_mapped(shapes, float32=True)
    again = synthetic_parameters_mapped(shapes, float32=True)
    assert len(asked) == 2, "once per precision"
    assert narrow["diffuser/left"]["weights"].dtype == ml_dtypes.bfloat16
    assert narrow["diffuser/odd"]["weights"].dtype == np.float32
    for module, leaves in TREE.items():
        for name, shape in leaves.items():
            array = wide[module][name]
            assert array.dtype == np.float32
            assert array.shape == shape.shape
            assert array.ctypes.data % 64 == 0
            assert not array.flags.writeable
            # The float32 values are those that were rounded to bfloat16.
            assert np.array_equal(array, narrow[module][name].astype(np.float32))
            assert np.array_equal(array, again[module][name])
    label = bytes(wide["__meta__"]["__identifier__"])
    assert label == f"synthetic weights, seed {SEED}".encode()
    left = sorted(path.suffix for path in (tmp_path / "af3-weights").iterdir())
    assert left == [".bin", ".bin", ".json", ".json"]


def test_overwritten_weights_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    right = synthetic_parameters_mapped(lambda: TREE, float32=True)
    expected = right["diffuser/left"]["weights"].copy()
    (path,) = (tmp_path / "af3-weights").glob("*.bin")
    before = path.stat()
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(np.full(16, 1e9, np.float32).tobytes())
    # A fault of the disk changes neither size nor times.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = synthetic_parameters_mapped(lambda: TREE, float32=True)
    assert np.array_equal(again["diffuser/left"]["weights"], expected)
    assert caplog.messages[0].endswith("the file of synthetic weights in float32 is rebuilt")


def test_each_package_has_its_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    other = {"diffuser/only": {"weights": SimpleNamespace(shape=(2, 2), dtype="float32")}}

    def made(package: str, tree: dict[str, Any]) -> Parameters:
        return synthetic_parameters_mapped(lambda: tree, float32=True, package={"sources": package})

    found = {
        package: made(package, tree)
        for package, tree in (("colabfold", TREE), ("deepmind", other), ("colabfold", {}))
    }
    assert found["colabfold"].keys() - {"__meta__"} == TREE.keys()
    assert found["deepmind"].keys() - {"__meta__"} == other.keys()


def test_a_package_that_comes_first_on_the_path_has_another_identity(tmp_path: Path) -> None:
    (tmp_path / "alphafold3").mkdir()
    (tmp_path / "alphafold3" / "__init__.py").write_text("WIDTH = 384\n")
    code = "from perfkit.models.af3.package import package_identity; print(package_identity())"
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*first, str(ROOT)])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for first in ((), (str(tmp_path),))
    ]
    assert printed[0] != printed[1]


RECORDS = {
    ("diffuser/left", "weights"): np.arange(6, dtype=np.float32).reshape(2, 3),
    ("diffuser/left", "bias"): np.array([1.5, -2.25], ml_dtypes.bfloat16),
    ("__meta__", "__identifier__"): np.frombuffer(b"hand-made", np.uint8),
}


@pytest.fixture
def encoded() -> bytes:
    """Encode a few records in upstream's format, without compression."""
    params = pytest.importorskip("alphafold3.model.params", reason="upstream's format")
    return b"".join(params.encode_record(*key, array) for key, array in RECORDS.items())


@pytest.mark.parametrize("float32", [True, False])
def test_real_parameters_are_read(tmp_path: Path, encoded: bytes, float32: bool) -> None:
    import zstandard

    (tmp_path / "af3.bin.zst").write_bytes(zstandard.compress(encoded))
    loaded = real_parameters(tmp_path, float32=float32)
    for (module, name), expected in RECORDS.items():
        assert np.array_equal(np.asarray(loaded[module][name], expected.dtype), expected)
    assert str(loaded["diffuser/left"]["bias"].dtype) == ("float32" if float32 else "bfloat16")
    assert str(loaded["diffuser/left"]["weights"].dtype) == "float32"


def _corrupt(data: bytes) -> bytes:
    return data[:40] + bytes(byte ^ 0xFF for byte in data[40:60]) + data[60:]


@pytest.mark.parametrize("damage", ["truncated", "corrupt", "not zstd", "empty", "bad header"])
def test_damaged_parameters_are_refused_in_one_sentence(
    tmp_path: Path, encoded: bytes, damage: str
) -> None:
    import zstandard

    whole = zstandard.compress(encoded)
    damaged = {
        "truncated": zstandard.compress(encoded[:-5]),
        "corrupt": _corrupt(whole),
        "not zstd": b"this is no zstandard frame",
        "empty": b"",
        "bad header": zstandard.compress(b"\xff" * 20 + encoded),
    }
    (tmp_path / "af3.bin.zst").write_bytes(damaged[damage])
    with pytest.raises(UserError, match=f"the weights in {tmp_path}") as refused:
        real_parameters(tmp_path, float32=False)
    assert "\n" not in str(refused.value)


def test_a_folder_without_parameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model folder"):
        check_model_dir(tmp_path / "none")
    (tmp_path / "readme.txt").touch()
    with pytest.raises(UserError, match="holds no weights"):
        check_model_dir(tmp_path)
    (tmp_path / "af3.bin.zst").touch()
    check_model_dir(tmp_path)


def resident_bytes(path: Path) -> int:
    """How much of a mapped file this process has in memory (proc_pid_smaps(5))."""
    smaps = Path("/proc/self/smaps").read_text()
    _, _, after = smaps.partition(f"{path}\n")
    [size] = re.findall(r"^Rss: +(\d+) kB", after.partition("VmFlags")[0], re.MULTILINE)
    return int(size) << 10


def test_what_is_let_go_of_leaves_memory_and_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    pages = np.arange(64 * 1024, dtype=np.uint32)
    pages.tofile(path)
    mapped = np.memmap(path, np.uint8, mode="r").view(np.uint32).reshape(64, 1024)
    assert np.array_equal(mapped.reshape(-1), pages)
    assert resident_bytes(path) == pages.nbytes
    let_go(mapped[8:24])
    assert pages.nbytes - 16 * mmap.PAGESIZE >= resident_bytes(path)
    assert np.array_equal(mapped.reshape(-1), pages)


def test_arrays_that_are_not_mapped_are_left_alone() -> None:
    numbers = np.arange(4096)
    let_go(numbers[1:])
    let_go(jnp.asarray(numbers))
    assert numbers.sum() == 4095 * 2048
