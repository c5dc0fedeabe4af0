"""Errors of the user end in one clear sentence and exit code 2, and nothing is written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("alphafold3", reason="inputs are checked by the af3 extra")

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]
type Refused = Callable[[subprocess.CompletedProcess[str], str], None]


def _document(*sequences: dict[str, Any]) -> str:
    return json.dumps(
        {
            "dialect": "alphafold3",
            "version": 1,
            "name": "bad",
            "modelSeeds": [1],
            "sequences": sequences,
        }
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("{", "is not valid JSON"),
        ("name,tokens\na,40\n", "or FASTA, which begins with '>'"),
        ("[]", "holds no AlphaFold Server job"),
        (_document({"protein": {"id": "A", "sequence": ""}}), "sequence"),
        (_document({"protein": {"id": "A", "sequence": "MK1"}}), "'1'"),
        (_document({"ligand": {"id": "L", "ccdCodes": ["NOSUCH"]}}), "NOSUCH"),
    ],
    ids=[
        "empty",
        "malformed",
        "a table",
        "no job",
        "zero length",
        "unknown residue",
        "unknown component",
    ],
)
def test_a_bad_input_file_is_refused(
    perfkit_here: Perfkit, refused: Refused, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "input.json"
    path.write_text(content)
    refused(perfkit_here("run", "--input", str(path)), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --input none.json", "none.json cannot be read"),
        ("run --size 0", "at least 1 residue, not 0"),
        ("run --size ten", "invalid int value"),
        ("run --size 8 --input x.json", "--input and --size exclude each other"),
        ("run --size 9 --knob bucket=8", "the bucket of 8 tokens is smaller than the input"),
        ("run --size 8 --knob alocator=glibc", "the nearest is 'allocator'"),
        ("run --size 8 --knob allocator=jemaloc", "the nearest is 'jemalloc'"),
        ("run --size 8 --knob xla_cpu_use_onedn=true", "the nearest is 'xla_cpu_use_onednn'"),
        ("run --size 8 --knob cpus", "not of the form NAME=VALUE"),
        ("run --size 8 --knob cpus=100000", "100000 CPUs are asked for"),
        ("run --size 8 --model-dir .", "holds no weights"),
        ("run --size 8 --model-dir nowhere", "there is no model folder"),
        ("run --size 8 --steps 0", "--steps takes 1 or more, not 0"),
        ("run --size 8 --seeds 3", "the input names only 1"),
        ("run --size 8 --num-seeds 0", "--num-seeds takes 1 to 100,000 seeds, not 0"),
        ("run --input-dir nowhere", "--input-dir takes a folder, and nowhere is none"),
        ("run --save-embeddings=maybe", "takes true or false, not 'maybe'"),
        ("run --size 8 --passes -1", "--passes takes 0 or more, not -1"),
        ("run --size 8 --memory-limit 1GB", "--force runs it anyway"),
        ("run --size 8 --memory-limit lots", "is not a size"),
        ("run --size 8 --time-limit 0", "is too small; give a larger one"),
        ("run --size 8 --out /proc/perfkit", "the output folder /proc/perfkit cannot be written"),
        ("run --size 8 --preset none.toml", "none.toml cannot be read"),
        ("run --model af4", "unknown model 'af4'; the nearest is 'af3'"),
        ("tune --size 8 --budget 0", "is too small; give a larger one"),
        ("tune --size 8 --budget soon", "is not a duration"),
        ("tune --size 8 --memory-limit 1GB", "needs about"),
        ("tune --size 8 --strategy greed", "unknown strategy 'greed'; the nearest is 'grid'"),
        ("tune --size 8 --strategy grid", "takes at most 1,000; name fewer knobs or values"),
        ("tune --size 8 --space none.toml", "none.toml cannot be read"),
        ("tune --size 8 --knob alocator", "the nearest is 'allocator'"),
        ("tune --size 8 --knob bucket=4", "smaller than the input"),
        ("tune --size 8 --knob cpus=100000", "100000 CPUs are asked for"),
        ("tune --size 8 --knob xla_cpu_use_onednn=false", "is given its default 'false' only"),
        ("tune --size 8 --knob xla_cpu_enable_fast_math", "no value that is worth trying here"),
        ("tune --size 8 --knob cpus=1 --knob cpus=2", "knob 'cpus' is given twice"),
        ("tune --size 8 --widen", "--widen adds to the knobs of --knob or --space"),
        ("tune --size 8 --objective speed", "unknown objective 'speed'"),
        ("tune --size 8 --objective cost", "objective 'cost' needs a price"),
        ("tune --size 8 --objective cost --price 0", "time costs nothing"),
        ("tune --size 8 --objective cost --price=-1", "a price cannot be negative"),
        ("tune --size 8 --objective cost --price cheap", "is not a price of an hour"),
        ("tune --size 8 --price 1", "--price has no influence on objective 'latency'"),
        ("tune --size 8 --objective memory --slack=-1%", "--slack takes 0 or more"),
        ("tune --size 8 --objective memory --slack much", "--slack takes a share such as"),
        ("tune --size 8 --memory-exchange=-1", "--memory-exchange takes 0 or more"),
        ("tune --size 8 --agreement float64", "unknown agreement class 'float64'"),
        ("tune --size 8 --save-embeddings", "unrecognized arguments: --save-embeddings"),
        ("sweep --sizes 8,x", "--sizes takes whole numbers"),
        ("sweep --sizes 8,²", "--sizes takes whole numbers"),
        ("sweep --sizes 8 --cpus 1,1", "the same value twice"),
        ("sweep --sizes 8 --rounds 0", "--rounds takes 1 or more"),
        ("sweep --sizes 8 --knob bucket=4,exact", "smaller than the input"),
        ("sweep --sizes 8 --memory-limit 1GB", "needs about"),
        ("report nowhere", "there is no folder nowhere"),
        ("tnue", "unknown command 'tnue'; the nearest is 'tune'"),
        ("run --no-such-option", "unrecognized arguments"),
    ],
)
def test_a_bad_command_line_is_refused(
    perfkit_here: Perfkit, refused: Refused, arguments: str, message: str
) -> None:
    refused(perfkit_here(*arguments.split()), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--preset none.toml -- true", "none.toml cannot be read"),
        ("--instance 1/2 -- true", "--instance needs --preset"),
    ],
)
def test_a_bad_command_line_of_exec_is_refused(
    perfkit: Perfkit, refused: Refused, arguments: str, message: str
) -> None:
    refused(perfkit("exec", *arguments.split()), message)


@pytest.mark.parametrize("package", ["alphafold3", "jax", "tokamax"])
def test_a_missing_extra_ends_in_one_line_that_names_what_to_install(
    perfkit: Perfkit, refused: Refused, package: str
) -> None:
    finished = perfkit("tune", before=f"sys.modules[{package!r}] = None")
    refused(finished, f"AlphaFold 3 needs {package}, which is not installed")
    wanted = "alphafold3-colabfold" if package == "alphafold3" else package
    assert finished.stderr.rstrip().endswith(f"pip install {wanted}")
    assert "perfkit[" not in finished.stderr


def test_a_preset_with_an_impossible_value_is_refused(
    perfkit_here: Perfkit, refused: Refused, tmp_path: Path
) -> None:
    path = tmp_path / "preset.toml"
    path.write_text("model = 'af3'\n[knobs]\nbucket = 'exat'\n")
    refused(perfkit_here("run", "--preset", str(path)), "the nearest is 'exact'")
