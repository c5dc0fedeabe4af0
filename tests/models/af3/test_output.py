"""A prediction leaves the files of ``run_alphafold.py``, with safe names and labelled results."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfkit.models.af3.computation import featurise_in_bucket
from perfkit.models.af3.featurise import Batch
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.output import add_notices, ensure_writable, write_predictions
from perfkit.models.af3.run_options import UPSTREAM_FILES, FileOptions
from perfkit.models.af3.weights import SYNTHETIC_NOTICE
from perfkit.models.prepared import Prepared, PyTree
from perfkit.models.workload import Workload

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

LABELS = ["synthetic weights: nothing", "below production fidelity: a measurement"]

EVERYTHING = FileOptions(embeddings=True, distogram=True)

TOKENS = 2

HOSTILE = {
    "A/B complex": "AB_complex",
    "<script>alert(1)</script>": "scriptalert1script",
    "a*[b]?": "ab",
    "data_\nloop_\x1b[2J": "data_loop_2J",
    "A" * 180: "A" * 180,
}
"""Name of a fold input -> upstream's ``sanitised_name`` of it."""

FILES_OF_A_SAMPLE = ("confidences.json", "model.cif", "summary_confidences.json")


def tree_of(stem: str, *, everything: bool = False, compressed: str = "") -> set[str]:
    """The files that upstream's ``docs/output.md`` lists, for two seeds of one sample each."""
    table = {f"{stem}_ranking_scores.csv", f"{stem}_data.json", "TERMS_OF_USE.md"}
    places = {"": stem} | {
        f"seed-{seed}_sample-0/": f"{stem}_seed-{seed}_sample-0" for seed in (1, 7)
    }
    samples = {
        f"{folder}{name}_{file}{'' if file.startswith('summary') else compressed}"
        for folder, name in places.items()
        for file in FILES_OF_A_SAMPLE
    }
    seeds = {
        f"seed-{seed}_{what}/{stem}_seed-{seed}_{what}.npz"
        for seed in (1, 7)
        for what in ("embeddings", "distogram")
    }
    return table | samples | (seeds if everything else set())


@dataclass(frozen=True)
class Prediction:
    """A prediction of two residues with two seeds by the shallow network."""

    fold_input: Input
    prepared: Prepared
    batches: list[Batch]
    outputs: PyTree

    def write(
        self,
        folder: Path,
        notices: Sequence[str] = (),
        options: FileOptions = UPSTREAM_FILES,
        name: str | None = None,
    ) -> list[Path]:
        named = dataclasses.replace(self.fold_input, name=name or self.fold_input.name)
        return write_predictions(
            named, self.batches, self.outputs, folder, b"tests", notices, options
        )

    def inferred(self) -> Iterator[Any]:
        """Upstream's result of each seed."""
        import jax
        from alphafold3.model.model import Model

        for batch, output in zip(self.batches, self.outputs, strict=True):
            host = jax.tree.map(lambda leaf: np.asarray(leaf), output)
            (result,) = Model.get_inference_result(
                batch=batch.complete, result=dict(host) | {"__identifier__": b"tests"}
            )
            yield result


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    from benchmarks.shallow_af3 import FEWEST, prepare
    from perfkit.models.af3.inputs.fold_input import synthetic_protein
    from tests.support.quick_compilation import quick_jit

    fold_input = dataclasses.replace(synthetic_protein(TOKENS, seed=1), rng_seeds=(1, 7))
    prepared = prepare(fold_input, FEWEST, labels=("low",), files=EVERYTHING)
    compiled = quick_jit(prepared.function).lower(*prepared.arguments).compile()
    # The knobs FEWEST ask for a bucket of exactly two tokens.
    batches, _ = featurise_in_bucket(fold_input, TOKENS)
    return Prediction(fold_input, prepared, batches, prepared.drive(compiled))


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def timeless(mmcif: bytes) -> bytes:
    """The text of an mmCIF file without the time at which it was written."""
    text, times = re.subn(rb"@ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", b"@", mmcif)
    assert times == 1
    return text


def test_the_samples_are_byte_for_byte_what_upstream_writes(
    prediction: Prediction, tmp_path: Path
) -> None:
    from alphafold3.model import post_processing

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    written = prediction.write(ours)
    assert names_in(ours) == tree_of("synthetic-2-1") == {str(p.relative_to(ours)) for p in written}
    assert len(written) == len(set(written))
    scores = []
    for seed, result in zip((1, 7), prediction.inferred(), strict=True):
        name = f"seed-{seed}_sample-0"
        scores.append(float(result.metadata["ranking_score"]))
        (theirs / name).mkdir(parents=True)
        post_processing.write_output(result, theirs / name, name=f"synthetic-2-1_{name}")
    assert len(names_in(theirs)) == 2 * len(FILES_OF_A_SAMPLE)
    for name in names_in(theirs):
        read = timeless if name.endswith(".cif") else bytes
        assert read((ours / name).read_bytes()) == read((theirs / name).read_bytes()), name
    # The score of the better sample, as upstream's own summary of it has it.
    best = 7 if scores[1] > scores[0] else 1
    for file in FILES_OF_A_SAMPLE:
        chosen = ours / f"seed-{best}_sample-0" / f"synthetic-2-1_seed-{best}_sample-0_{file}"
        read = timeless if file.endswith(".cif") else bytes
        top = (ours / f"synthetic-2-1_{file}").read_bytes()
        assert read(top) == read(chosen.read_bytes()), file
    rows = f"1,0,{scores[0]}\r\n7,0,{scores[1]}\r\n"
    table = (ours / "synthetic-2-1_ranking_scores.csv").read_bytes()
    assert table == f"seed,sample,ranking_score\r\n{rows}".encode()


def test_the_input_and_the_terms_of_use_are_those_of_the_package(
    prediction: Prediction, tmp_path: Path
) -> None:
    import alphafold3
    from alphafold3.common.folding_input import Input

    prediction.write(tmp_path, LABELS)
    text = (tmp_path / "synthetic-2-1_data.json").read_text()
    assert Input.from_json(text) == prediction.fold_input
    assert json.loads(text)["modelSeeds"] == [1, 7]
    terms = Path(str(alphafold3.__file__)).with_name("OUTPUT_TERMS_OF_USE.md")
    assert (tmp_path / "TERMS_OF_USE.md").read_bytes() == terms.read_bytes()


def test_embeddings_and_distograms_are_saved_without_padding_on_request(
    prediction: Prediction, tmp_path: Path
) -> None:
    prediction.write(tmp_path, LABELS, EVERYTHING)
    assert names_in(tmp_path) == tree_of("synthetic-2-1", everything=True)
    output = prediction.outputs[1]
    expected = {
        "single_embeddings": ((TOKENS, 384), output["single_embeddings"]),
        "pair_embeddings": ((TOKENS, TOKENS, 128), output["pair_embeddings"]),
        "distogram": ((TOKENS, TOKENS, 64), output["distogram"]["distogram"]),
    }
    found: dict[str, np.ndarray] = {}
    for what in ("embeddings", "distogram"):
        path = tmp_path / f"seed-7_{what}" / f"synthetic-2-1_seed-7_{what}.npz"
        with np.load(path) as arrays:
            found |= {name: arrays[name] for name in arrays.files}
        # Readers of the arrays do not see the comment.
        with zipfile.ZipFile(path) as archive:
            assert archive.comment.decode().splitlines() == LABELS
    assert found.keys() == expected.keys()
    for name, (shape, padded) in expected.items():
        assert found[name].dtype == np.float16
        assert found[name].shape == shape
        whole = np.asarray(padded, np.float32)[tuple(slice(length) for length in shape)]
        np.testing.assert_array_equal(found[name], whole.astype(np.float16))


def test_large_files_are_compressed_on_request(prediction: Prediction, tmp_path: Path) -> None:
    import zstandard

    plain, packed = tmp_path / "plain", tmp_path / "packed"
    bare = FileOptions(terms_of_use=False)
    prediction.write(plain, LABELS, bare)
    prediction.write(packed, LABELS, dataclasses.replace(bare, compress=True))
    expected = tree_of("synthetic-2-1", compressed=".zst") - {"TERMS_OF_USE.md"}
    assert names_in(packed) == expected
    for name in ("synthetic-2-1_confidences.json", "synthetic-2-1_model.cif"):
        stored = (packed / f"{name}.zst").read_bytes()
        unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored)).read()
        text = (plain / name).read_bytes()
        if name.endswith(".cif"):
            unpacked, text = timeless(unpacked), timeless(text)
            # DeepMind's package leaves the licence out on request, ColabFold's cannot.
            licence = b"# By using this file you agree to the legally binding terms of use"
            assert (licence in text) is bool(ensure_writable(bare))
        assert unpacked == text
    assert ensure_writable(FileOptions(compress=True)) == ()


@pytest.mark.parametrize(
    ("name", "stem"), HOSTILE.items(), ids=["slash", "html", "glob", "lines", "long"]
)
def test_files_of_any_name_are_inside_the_folder(
    prediction: Prediction, tmp_path: Path, name: str, stem: str
) -> None:
    from biotite.structure import get_residue_count
    from biotite.structure.io import pdbx

    folder = tmp_path / "out"
    written = prediction.write(folder, LABELS, name=name)
    assert {str(path.relative_to(folder)) for path in written} == tree_of(stem)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)
    atoms = pdbx.get_structure(pdbx.CIFFile.read(folder / f"{stem}_model.cif"), model=1)
    assert get_residue_count(atoms) == TOKENS


@pytest.mark.parametrize("name", ["../../escape", ".hidden", "-rf", "..", "x" * 400])
def test_names_with_special_parts_do_not_leave_the_folder(
    prediction: Prediction, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "deep" / "er" / "out"
    written = prediction.write(folder, LABELS, name=name)
    assert len(written) == len(tree_of("any"))
    assert all(path.is_file() and path.resolve().is_relative_to(folder) for path in written)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)
    assert not any(path.name.startswith((".", "-")) for path in written)


def test_every_file_of_results_carries_every_notice(prediction: Prediction, tmp_path: Path) -> None:
    notices = [*LABELS, "two\nlines"]
    prediction.write(tmp_path, notices, name="a[1]")
    for path in tmp_path.rglob("*confidences.json"):
        assert json.loads(path.read_text())["perfkit_notices"] == [*LABELS, "two\nlines"]
    comments = [f"# {label}" for label in [*LABELS, "two\\nlines"]]
    models = list(tmp_path.rglob("*_model.cif"))
    assert len(models) == 3
    for path in models:
        assert path.read_text().splitlines()[:3] == comments
    with (tmp_path / "a1_ranking_scores.csv").open(newline="") as stream:
        lines = stream.read().split("\r\n")
    assert lines[:3] == comments
    assert next(csv.reader(lines[3:])) == ["seed", "sample", "ranking_score"]


def test_a_file_that_cannot_carry_notices_is_an_error(tmp_path: Path) -> None:
    packed = tmp_path / "a_model.pdb"
    packed.write_text("packed")
    with pytest.raises(RuntimeError, match=r"a_model\.pdb cannot carry the notices"):
        add_notices([packed], LABELS)


@pytest.mark.parametrize(
    ("fidelity", "label"),
    [
        (
            {"recycles": 0, "steps": 4, "samples": 1, "seeds": 1},
            ("below production fidelity (recycles 0 of 10, steps 4 of 200, samples 1 of 5): "
             "a measurement, not a prediction to rely on",),
        ),
        ({"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}, ()),
    ],
)  # fmt: skip
def test_a_workload_below_production_is_labelled(
    fidelity: dict[str, int], label: tuple[str, ...]
) -> None:
    workload = Workload("af3", "synthetic-8-1", 8, {"size": 8}, fidelity, "digest")
    assert AlphaFold3().labels(workload) == label


def test_a_prepared_prediction_writes_its_labels(prediction: Prediction, tmp_path: Path) -> None:
    written = prediction.prepared.write(prediction.outputs, tmp_path)
    assert prediction.prepared.labels == ("low",)
    assert {str(p.relative_to(tmp_path)) for p in written} == tree_of(
        "synthetic-2-1", everything=True
    )
    table = tmp_path / "synthetic-2-1_ranking_scores.csv"
    assert table.read_text().splitlines()[:2] == [f"# {SYNTHETIC_NOTICE}", "# low"]
    summary = tmp_path / "synthetic-2-1_summary_confidences.json"
    assert json.loads(summary.read_text())["perfkit_notices"] == [SYNTHETIC_NOTICE, "low"]
