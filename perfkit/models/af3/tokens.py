"""The tokens of a fold input, as the model counts them, without JAX."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from perfkit.models.af3.component_sets import install_component_sets
from perfkit.models.af3.components import ccd_for

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

type _Component = Mapping[str, Sequence[str]]

_HYDROGEN = ("H", "D")


def count_tokens(fold_input: Input) -> int:
    """The number of tokens before padding.

    A standard or unknown residue is one token; a modified residue, a ligand and an ion are one
    token for each atom but hydrogen that is predicted (Abramson et al. 2024, Supplementary
    Methods 2.6). Not predicted are the leaving atoms: OXT inside a protein, OP3 inside a nucleic
    acid, and a glycan's O1 unless a bond names it.

    Raises
    ------
    UserError
        The input names an unknown component.
    """
    install_component_sets()
    from alphafold3.constants import residue_names

    ccd = ccd_for(fold_input)
    proteins = {*residue_names.PROTEIN_TYPES_WITH_UNKNOWN, residue_names.MSE}
    nucleotides = {*residue_names.NUCLEIC_TYPES_WITH_2_UNKS}
    tokens = 0
    for chain in fold_input.protein_chains:
        residues = chain.to_ccd_sequence()
        for index, code in enumerate(residues):
            leaving = () if index == len(residues) - 1 else ("OXT",)
            tokens += 1 if code in proteins else _heavy_atoms(ccd[code], leaving)
    for chain in (*fold_input.rna_chains, *fold_input.dna_chains):
        for index, code in enumerate(chain.to_ccd_sequence()):
            leaving = () if index == 0 else ("OP3",)
            tokens += 1 if code in nucleotides else _heavy_atoms(ccd[code], leaving)
    bonded = {atom for bond in fold_input.bonded_atom_pairs or () for atom in bond}
    glycans = _glycans()
    for ligand in fold_input.ligands:
        if ligand.smiles is not None:
            tokens += _smiles_atoms(ligand.smiles)
        for number, code in enumerate(ligand.ccd_ids or (), 1):
            standalone = code in glycans and (ligand.id, number, "O1") not in bonded
            tokens += _heavy_atoms(ccd[code], ("O1",) if standalone else ())
    return tokens


def _glycans() -> frozenset[str]:
    from alphafold3.constants import chemical_component_sets as sets

    return frozenset(sets.GLYCAN_LINKING_LIGANDS | sets.GLYCAN_OTHER_LIGANDS)


def _heavy_atoms(component: _Component, leaving: Collection[str]) -> int:
    return sum(
        element not in _HYDROGEN and atom not in leaving
        for atom, element in zip(
            component["_chem_comp_atom.atom_id"],
            component["_chem_comp_atom.type_symbol"],
            strict=True,
        )
    )


def _smiles_atoms(smiles: str) -> int:
    from rdkit import Chem

    return sum(atom.GetSymbol() not in _HYDROGEN for atom in Chem.MolFromSmiles(smiles).GetAtoms())
