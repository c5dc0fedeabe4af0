"""``perfkit knobs`` and ``perfkit recommend`` answer at once, without JAX."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.api.knob_catalogue import knob_catalogue
from perfkit.cli.commands.knobs import notes
from perfkit.knobs.knob import Host

type Perfkit = Callable[..., subprocess.CompletedProcess[str]]
type Refused = Callable[[subprocess.CompletedProcess[str], str], None]

NO_MODEL = (
    "import atexit\n"
    "for name in ('jax', 'jaxlib', 'alphafold3', 'haiku'): sys.modules[name] = None\n"
)
"""Makes the import of JAX and of the model's package fail."""


@pytest.mark.parametrize("model", ["af3", "gencast"])
def test_knobs_needs_neither_jax_nor_the_package_of_the_model(perfkit: Perfkit, model: str) -> None:
    finished = perfkit("knobs", "--model", model, before=NO_MODEL)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:2] == ["allocator", "glibc"] for line in lines)
    # Names and values are not broken in two.
    assert "xla_cpu_experimental_ynn_fusion_type" in finished.stdout
    assert "CPU_OPT_PRESET_FAST_RUNTIME" in finished.stdout


def test_reasons_are_listed_below_the_table_and_an_allocator_only_once() -> None:
    bare = Host(frozenset({"avx2"}), 1, frozenset({"glibc", "glibc-keep", "glibc-hugepages"}))
    lines = notes(knob_catalogue("gencast", host=bare))
    assert (
        "not here: xla_cpu_prefer_vector_width=512; it makes no difference on this CPU without "
        "avx512f"
    ) in lines
    assert "not here: cpus=1; this process may use 1 CPU, as by default" in lines
    assert len([line for line in lines if "cmeel-mimalloc" in line]) == 1


def test_knobs_as_json(perfkit_here: Perfkit) -> None:
    finished = perfkit_here("knobs", "--json")
    found = json.loads(finished.stdout)
    assert found["model"] == "af3"
    assert found["further_flags"] == {}
    knobs = {knob["name"]: knob for knob in found["knobs"]}
    bucket = knobs["bucket"]
    assert bucket["summary"].startswith("tokens the input is padded to")
    assert {name: value for name, value in bucket.items() if name != "summary"} == {
        "name": "bucket",
        "layer": "model",
        "set_per": "program",
        "default": "upstream",
        "allowed": "upstream, exact, or a whole number, 1 or more",
        "exact": True,
        "worth_trying": ["exact"],
        "not_here": {},
    }
    allocator = knobs["allocator"]
    assert set(allocator["worth_trying"]) < set(found["machine"]["allocators"])


def test_recommend_needs_no_jax(perfkit: Perfkit) -> None:
    finished = perfkit("recommend", "--size", "76", before=NO_MODEL)
    assert finished.returncode == 0, finished.stderr
    first, *rest = finished.stdout.splitlines()
    assert first.startswith("nearest: the shipped preset af3-ubiquitin")
    assert "  bucket=exact" in rest
    assert any("times as fast as stock" in line for line in rest)


def test_recommend_as_json_and_as_a_preset(
    perfkit: Perfkit, perfkit_here: Perfkit, tmp_path: Path
) -> None:
    path = tmp_path / "preset.toml"
    options = ["--model", "gencast", "--size", "65160", "--preset-out", str(path)]
    finished = perfkit_here("recommend", *options, "--json")
    found = json.loads(finished.stdout)
    assert found["preset"] == "gencast-1deg"
    assert found["shipped"] is True
    assert found["knobs"]["precision"] == "bfloat16_network"
    assert found["measured"]["size"] == 65160
    assert found["distance"]["size_octaves"] == 0
    applied = perfkit("exec", "--preset", str(path), "--", "true")
    assert applied.returncode == 0, applied.stderr


def test_recommend_looks_into_the_results_of_the_current_folder(
    perfkit_here: Perfkit, tmp_path: Path
) -> None:
    machine = json.loads(perfkit_here("knobs", "--json").stdout)["machine"]
    folder = tmp_path / "work/perfkit-results/tune-af3-own"
    folder.mkdir(parents=True)
    (folder / "preset.toml").write_text(
        "format = 1\nmodel = 'af3'\n[knobs]\nbucket = 'exact'\n[measured]\nsize = 99\n"
        f"[measured.machine]\ninstruction_sets = {machine['instruction_sets']}\n"
        f"cpu_family = '999'\nlogical_cpus = {machine['cpus']}\n"
    )
    alone = perfkit_here("recommend", "--size", "99", "--json")
    named = perfkit_here("recommend", "--size", "99", "--json", "--from", "perfkit-results")
    assert json.loads(alone.stdout) == json.loads(named.stdout)
    known = json.loads(alone.stdout)
    own = "perfkit-results/tune-af3-own/preset.toml"
    assert own in (known["preset"], known["nearest_size"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("recommend", "the following arguments are required: --size"),
        ("recommend --size ten", "--size takes a whole number of tokens from 1"),
        ("recommend --size 0 --model gencast", "--size takes a whole number of grid nodes from 1"),
        ("recommend --size 9 --model af4", "unknown model 'af4'; the nearest is 'af3'"),
        ("recommend --size 9 --from nowhere", "there is no folder nowhere"),
        ("recommend --size 9 --model gencast --shipped af3-256", "is for model 'af3'"),
        ("recommend --size 9 --shipped af3-265", "the nearest is 'af3-256'"),
        ("recommend --size 9 --preset-out /proc/x.toml", "cannot be written"),
        ("knobs --model af4", "unknown model 'af4'; the nearest is 'af3'"),
        ("knobs --al-flags", "unrecognized arguments: --al-flags"),
    ],
)
def test_bad_input_is_refused(
    perfkit_here: Perfkit, refused: Refused, arguments: str, message: str
) -> None:
    refused(perfkit_here(*arguments.split()), message)
