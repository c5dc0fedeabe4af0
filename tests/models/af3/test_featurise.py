"""Featurisation of every type of fold input with the reduced dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.af3.featurise import featurise

if TYPE_CHECKING:
    from perfkit.models.af3.featurise import Batch

type Load = Callable[[str], tuple[Any, tuple[str, ...]]]
type Featurised = Callable[[str], list[Batch]]

_KINDS = [
    "ubiquitin",
    "nucleoprotein",
    "holo",
    "modified",
    "glycoprotein",
    "own_component",
    "homodimer",
    "aligned",
]


@pytest.mark.parametrize("name", _KINDS)
def test_every_atom_has_a_reference_position(name: str, featurised: Featurised) -> None:
    """An atom that is missing in the dictionary would not have one."""
    for batch in featurised(name):
        features = batch.numeric
        atoms = features["pred_dense_atom_mask"].astype(bool)
        assert np.array_equal(features["ref_mask"].astype(bool), atoms)
        assert np.isfinite(features["ref_pos"]).all()
        assert (features["ref_element"][atoms] > 0).all()


@pytest.mark.parametrize("name", _KINDS)
def test_numeric_features_hold_numbers_only(name: str, featurised: Featurised) -> None:
    (batch, *_) = featurised(name)
    assert {array.dtype.kind for array in batch.numeric.values()} <= set("biuf")
    assert set(batch.numeric) < set(batch.complete)


def test_chains_are_marked_with_their_type(featurised: Featurised) -> None:
    features = featurised("nucleoprotein")[0].numeric
    assert features["is_protein"].sum() == 10
    assert features["is_rna"].sum() == 8
    assert features["is_dna"].sum() == 12
    assert features["is_ligand"].sum() == 0


def test_ligands_and_ions_are_marked_as_ligands(featurised: Featurised) -> None:
    features = featurised("holo")[0].numeric
    assert features["is_ligand"].sum() == 43 + 1 + 13
    # Atomic numbers of iron and magnesium, once each.
    assert (features["ref_element"] == 26).sum() == 1
    assert (features["ref_element"] == 12).sum() == 1
    magnesium = features["ref_element"] == 12
    assert features["ref_charge"][magnesium].tolist() == [2.0]


def test_a_user_defined_component_keeps_its_atom_names(featurised: Featurised) -> None:
    layout = featurised("own_component")[0].complete["flat_output_layout"].item()
    assert layout.atom_name[layout.chain_id == "B"].tolist() == ["C1", "O1", "C2"]


def test_a_glycan_is_not_treated_as_a_plain_ligand(featurised: Featurised) -> None:
    """A glycan loses its leaving atom O1, while a plain ligand keeps all its atoms."""
    layout = featurised("glycoprotein")[0].complete["flat_output_layout"].item()
    first = layout.atom_name[(layout.chain_id == "B") & (layout.res_id == 1)].tolist()
    assert len(first) == 14
    assert "O1" not in first
    assert {"C1", "O4", "O5"} <= set(first)


def test_a_glycan_is_bonded_to_its_residue(featurised: Featurised) -> None:
    complete = featurised("glycoprotein")[0].complete
    bonds = complete["polymer_ligand_bonds"].item()
    assert list(zip(bonds.chain_id[0], bonds.res_id[0], bonds.atom_name[0], strict=True)) == [
        ("A", 3, "ND2"),
        ("B", 1, "C1"),
    ]


def test_each_seed_has_its_own_batch(featurised: Featurised) -> None:
    first, second = featurised("homodimer")
    assert (first.seed, second.seed) == (3, 11)
    assert not np.array_equal(first.numeric["ref_pos"], second.numeric["ref_pos"])
    assert np.array_equal(first.numeric["aatype"], second.numeric["aatype"])


def test_copies_of_a_chain_are_one_entity(featurised: Featurised) -> None:
    features = featurised("homodimer")[0].numeric
    assert set(features["entity_id"].tolist()) == {1}
    assert set(features["asym_id"].tolist()) == {1, 2}


def test_the_msas_of_the_input_are_used(featurised: Featurised) -> None:
    features = featurised("aligned")[0].numeric
    # Codes: R 1, Q 5, G 7, I 9, L 10, K 11, M 12, F 13, T 16, V 19, gap 21; RNA A 22, G, C, U 25.
    assert features["msa"][:4].tolist() == [
        [12, 5, 9, 13, 19, 11, 16, 10, 16, 7, 23, 23, 24, 25, 22, 22, 24, 24],
        [12, 5, 9, 13, 19, 11, 16, 10, 16, 7, 23, 23, 24, 25, 22, 22, 24, 24],
        [12, 5, 9, 13, 19, 1, 16, 10, 16, 7, 23, 23, 21, 25, 22, 22, 24, 24],
        [21, 21, 9, 13, 19, 11, 16, 19, 16, 7, 21, 21, 21, 21, 21, 21, 21, 21],
    ]
    # The first hit has one residue inserted before its eighth.
    assert features["deletion_matrix"][2].tolist() == [0] * 7 + [1] + [0] * 10


def test_the_template_of_the_input_is_used(featurised: Featurised) -> None:
    features = featurised("aligned")[0].numeric
    # Query residues 2 to 5 are mapped to M, Q, I, F of the template; the others are not mapped.
    present = features["template_atom_mask"].any(axis=-1)
    assert present[0].tolist() == [False, True, True, True, True] + [False] * 13
    assert not present[1:].any()
    assert features["template_aatype"][0, 1:5].tolist() == [12, 5, 9, 13]


def test_an_input_without_templates_has_no_template_atoms(featurised: Featurised) -> None:
    assert not featurised("ubiquitin")[0].numeric["template_atom_mask"].any()


def test_a_bucket_pads_the_tokens(load: Load) -> None:
    (batch,) = featurise(load("own_component")[0], bucket=16)
    assert batch.numeric["token_index"].shape == (16,)
    assert batch.numeric["seq_mask"].sum() == 8


def test_a_bucket_smaller_than_the_input_is_refused(load: Load) -> None:
    with pytest.raises(UserError, match=r"bucket of 64 tokens is smaller.*which has 76"):
        featurise(load("ubiquitin")[0], bucket=64)
