"""The files of a prediction have safe names inside their folder and carry all notices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfkit.models.af3.computation import featurise_in_bucket
from perfkit.models.af3.featurise import Batch
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.output import add_notices, write_predictions
from perfkit.models.af3.weights import SYNTHETIC_NOTICE
from perfkit.models.prepared import Prepared, PyTree
from perfkit.models.workload import Workload

LABELS = ["synthetic weights: nothing", "below production fidelity: a measurement"]

HOSTILE = {
    "A/B complex": "AB_complex",
    "<script>alert(1)</script>": "scriptalert1script",
    "a*[b]?": "ab",
    "data_\nloop_\x1b[2J": "data_loop_2J",
    "A" * 180: "A" * 180,
}
"""Name of a fold input -> upstream's ``sanitised_name`` of it."""


@dataclass(frozen=True)
class Prediction:
    """A prediction of two residues by the shallow network."""

    prepared: Prepared
    batches: list[Batch]
    outputs: PyTree

    def write(self, name: str, folder: Path, notices: list[str]) -> list[Path]:
        return write_predictions(name, self.batches, self.outputs, folder, b"tests", notices)


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    import jax

    from benchmarks.shallow_af3 import FEWEST, prepare
    from perfkit.models.af3.inputs.fold_input import synthetic_protein

    fold_input = synthetic_protein(2, seed=1)
    prepared = prepare(fold_input, FEWEST, labels=("low",))
    compiled = jax.jit(prepared.function).lower(*prepared.arguments).compile()
    # The knobs FEWEST ask for a bucket of exactly two tokens.
    batches, _ = featurise_in_bucket(fold_input, 2)
    return Prediction(prepared, batches, prepared.drive(compiled))


@pytest.mark.parametrize(
    ("name", "stem"), HOSTILE.items(), ids=["slash", "html", "glob", "lines", "long"]
)
def test_files_of_any_name_are_inside_the_folder(
    prediction: Prediction, tmp_path: Path, name: str, stem: str
) -> None:
    from biotite.structure import get_residue_count
    from biotite.structure.io import pdbx

    folder = tmp_path / "out"
    written = prediction.write(name, folder, LABELS)
    sample = folder / "seed-1_sample-0"
    prefix = f"{stem}_seed-1_sample-0"
    assert written == [
        sample / f"{prefix}_confidences.json",
        sample / f"{prefix}_model.cif",
        sample / f"{prefix}_summary_confidences.json",
        folder / f"{stem}_ranking_scores.csv",
    ]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(written)
    atoms = pdbx.get_structure(pdbx.CIFFile.read(written[1]), model=1)
    assert get_residue_count(atoms) == 2


@pytest.mark.parametrize("name", ["../../escape", ".hidden", "-rf", "..", "x" * 400])
def test_names_with_special_parts_do_not_leave_the_folder(
    prediction: Prediction, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "deep" / "er" / "out"
    written = prediction.write(name, folder, LABELS)
    assert len(written) == 4
    assert all(path.is_file() and path.resolve().is_relative_to(folder) for path in written)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)
    assert not any(path.name.startswith((".", "-")) for path in written)


def test_every_file_carries_every_notice(prediction: Prediction, tmp_path: Path) -> None:
    notices = [*LABELS, "two\nlines"]
    full, model, summary, ranking = prediction.write("a[1]", tmp_path, notices)
    for path in (full, summary):
        assert json.loads(path.read_text())["perfkit_notices"] == [*LABELS, "two\nlines"]
    comments = [f"# {label}" for label in [*LABELS, "two\\nlines"]]
    assert model.read_text().splitlines()[:3] == comments
    assert ranking.read_text().splitlines()[:4] == [*comments, "seed,sample,ranking_score"]


def test_a_file_that_cannot_carry_notices_is_an_error(tmp_path: Path) -> None:
    packed = tmp_path / "a_model.cif.zst"
    packed.write_text("packed")
    with pytest.raises(RuntimeError, match=r"a_model\.cif\.zst cannot carry the notices"):
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
    assert written[-1].read_text().splitlines()[:2] == [f"# {SYNTHETIC_NOTICE}", "# low"]
    assert json.loads(written[0].read_text())["perfkit_notices"] == [SYNTHETIC_NOTICE, "low"]
