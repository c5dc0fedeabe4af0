"""Warnings of upstream and RDKit do not reach the terminal; each becomes part of a notice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from perfkit.models.af3.featurise import featurise
from perfkit.models.af3.inputs.upstream_warnings import capture_warnings
from tests.support.fold_documents import document, load, protein

_WITHOUT_COORDINATES = """data_LIG-1
_chem_comp.id LIG-1
_chem_comp.name ethanolate
_chem_comp.type non-polymer
_chem_comp.formula 'C2 O'
_chem_comp.mon_nstd_parent_comp_id ?
_chem_comp.pdbx_synonyms ?
_chem_comp.formula_weight 40.0
loop_
_chem_comp_atom.comp_id
_chem_comp_atom.atom_id
_chem_comp_atom.type_symbol
_chem_comp_atom.charge
_chem_comp_atom.pdbx_leaving_atom_flag
_chem_comp_atom.pdbx_model_Cartn_x_ideal
_chem_comp_atom.pdbx_model_Cartn_y_ideal
_chem_comp_atom.pdbx_model_Cartn_z_ideal
LIG-1 C1 C 0 N ? ? ?
LIG-1 C2 C 0 N ? ? ?
LIG-1 O3 O 0 N ? ? ?
loop_
_chem_comp_bond.atom_id_1
_chem_comp_bond.atom_id_2
_chem_comp_bond.value_order
_chem_comp_bond.pdbx_aromatic_flag
C1 C2 TRIP N
C2 O3 TRIP N
"""


def test_each_known_type_of_warning_becomes_one_notice(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("absl")
    with capture_warnings() as captured:
        for name in ("ABC", "DEF", "ABC"):
            logger.warning("All ref positions unknown for: %s", name)
        logger.warning('Missing atom "%s" for CCD "%s"', "H1", "ABC")
        for token in (2, 3, 2):
            logger.warning(
                "%s token %i (%s), does not contain a pseudo-beta atom."
                "Using first valid atom (%s) instead.",
                *("input", token, "layout", "N"),
            )
        logger.info("not a warning")
        logger.warning("something\nnew\t%s", "here")
    assert captured.notices == (
        "no coordinates of ABC, DEF are known or can be generated: AlphaFold 3 uses reference "
        "positions that are all zero",
        "atoms without a reference position: H1 of ABC; AlphaFold 3 uses zeros",
        "2 tokens have no beta carbon or equivalent atom, e.g. those of modified residues: "
        "AlphaFold 3 uses their first atom",
        "AlphaFold 3 warns: something new here",
    )
    assert capfd.readouterr().err == ""


def test_the_time_in_rdkits_warnings_is_removed(capfd: pytest.CaptureFixture[str]) -> None:
    from rdkit import Chem

    with capture_warnings() as captured:
        Chem.MolFromSmiles("[H+].CC")
    assert captured.notices == ("RDKit warns: not removing hydrogen atom without neighbors",)
    assert capfd.readouterr().err == ""


def test_loggers_are_restored(caplog: pytest.LogCaptureFixture) -> None:
    with capture_warnings():
        pass
    logging.getLogger("absl").warning("afterwards")
    assert "afterwards" in caplog.text


@pytest.mark.usefixtures("component_cache")
def test_a_ligand_without_coordinates_is_reported(tmp_path: Path) -> None:
    ligand: dict[str, Any] = {"ligand": {"id": "L", "ccdCodes": ["LIG-1"]}}
    given = document(protein(), ligand, userCCD=_WITHOUT_COORDINATES)
    (batch,) = featurise(load(given, tmp_path)[0])
    assert (
        "no coordinates of LIG-1 are known or can be generated: AlphaFold 3 uses reference "
        "positions that are all zero"
    ) in batch.notices
