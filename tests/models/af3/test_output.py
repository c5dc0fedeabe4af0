"""The files of a prediction: named safely, inside their folder, each with its labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfkit.models import get_model
from perfkit.models.af3 import computation
from perfkit.models.af3.output import write_predictions
from perfkit.models.base import PyTree, Workload

if TYPE_CHECKING:
    from perfkit.models.af3.featurise import Batch

type Write = Callable[[str, Path, list[str]], list[Path]]

LABELS = ["synthetic weights: nothing", "below production fidelity: a measurement"]

HOSTILE = {
    "A/B complex": "AB_complex",
    "<script>alert(1)</script>": "scriptalert1script",
    "a*[b]?": "ab",
    "data_\nloop_\x1b[2J": "data_loop_2J",
    "A" * 180: "A" * 180,
}
"""Names of fold inputs, and what upstream's ``sanitised_name`` makes of them."""


@pytest.fixture(scope="module")
def write() -> Write:
    """Writes a prediction of two residues by a network with one block of each stack."""
    import jax

    from benchmarks.shallow_af3 import FEWEST, prepare
    from perfkit.models.af3.inputs.fold_input import synthetic_protein

    taken: list[tuple[list[Batch], PyTree]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            computation,
            "write_predictions",
            lambda name, batches, outputs, folder, identifier, notices: taken.append(
                (batches, outputs)
            ),
        )
        prepared = prepare(synthetic_protein(2, seed=1), FEWEST)
        compiled = jax.jit(prepared.function).lower(*prepared.arguments).compile()
        prepared.write(prepared.drive(compiled), Path())
    ((batches, outputs),) = taken

    def written(name: str, folder: Path, notices: list[str]) -> list[Path]:
        return write_predictions(name, batches, outputs, folder, b"tests", notices)

    return written


@pytest.mark.parametrize(
    ("name", "stem"), HOSTILE.items(), ids=["slash", "html", "glob", "lines", "long"]
)
def test_any_name_makes_files_inside_the_folder(
    write: Write, tmp_path: Path, name: str, stem: str
) -> None:
    from biotite.structure import get_residue_count
    from biotite.structure.io import pdbx

    folder = tmp_path / "out"
    written = write(name, folder, LABELS)
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
def test_names_that_lead_elsewhere_lead_nowhere(write: Write, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "er" / "out"
    written = write(name, folder, LABELS)
    assert len(written) == 4
    assert all(path.is_file() and path.resolve().is_relative_to(folder) for path in written)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)
    assert not any(path.name.startswith((".", "-")) for path in written)


def test_every_file_carries_every_label(write: Write, tmp_path: Path) -> None:
    full, model, summary, ranking = write("a[1]", tmp_path, [*LABELS, "two\nlines"])
    for path in (full, summary):
        assert json.loads(path.read_text())["perfkit_notices"] == [*LABELS, "two\nlines"]
    comments = [f"# {label}" for label in [*LABELS, "two\\nlines"]]
    assert model.read_text().splitlines()[:3] == comments
    assert ranking.read_text().splitlines()[:4] == [*comments, "seed,sample,ranking_score"]


def test_a_file_that_can_hold_no_label_is_not_left_without(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alphafold3.model import post_processing

    def packed(inference_result: Any, output_dir: Path, name: str) -> None:
        (output_dir / f"{name}_model.cif.zst").write_text("packed")

    monkeypatch.setattr(post_processing, "write_output", packed)
    with pytest.raises(RuntimeError, match="cannot carry the notices"):
        write("a", tmp_path, LABELS)


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
def test_real_weights_below_production_are_labelled(
    monkeypatch: pytest.MonkeyPatch, fidelity: dict[str, int], label: tuple[str, ...]
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(computation, "prepare", lambda *arguments: given.append(arguments))
    source = {"size": 8, "model-dir": "weights"}
    workload = Workload("af3", "synthetic-8-1", 8, source, fidelity, "digest")
    get_model("af3").prepare(workload, {})
    assert given[0][-2:] == (Path("weights"), label)


def test_labels_are_written_after_the_weights_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks.shallow_af3 import FEWEST, prepare
    from perfkit.models.af3.inputs.fold_input import synthetic_protein

    told: list[Any] = []
    monkeypatch.setattr(computation, "write_predictions", lambda *given: told.append(given[-1]))
    prepared = prepare(synthetic_protein(2, seed=1), FEWEST, labels=("low",))
    prepared.write([], tmp_path)
    assert told == [("low",)]
    assert prepared.labels == ("low",)
