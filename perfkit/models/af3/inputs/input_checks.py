"""Checks bonds, MSAs and templates early; upstream would refuse them only while featurising."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.components import named_components
from perfkit.models.af3.chemistry.tokens import (
    PredictedStructure,
    predicted_structure,
    smiles_atoms,
)
from perfkit.models.af3.inputs.upstream_errors import REFUSALS, brief

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input, ProteinChain, RnaChain, Template
    from alphafold3.constants.chemical_components import Ccd
    from alphafold3.structure import Structure

SHORTEST_ALIGNED = 5
"""Fewest residues of a chain whose MSA upstream uses, and fewest tokens for templates."""


def check_structure(
    fold_input: Input, ccd: Ccd, *, fix_standalone_glycans: bool = False
) -> PredictedStructure:
    """Check that components have atoms, that bonds name these, and that something is predicted.

    Parameters
    ----------
    fold_input
        The input.
    ccd
        Component dictionary of the input.
    fix_standalone_glycans
        Whether glycans that are bonded to nothing keep their O1.

    Returns
    -------
    PredictedStructure
        The part of the input that the model predicts.

    Raises
    ------
    UserError
        A component has no atoms; a bond names an atom that its component lacks or that the model
        does not predict; a SMILES ligand has the name of a component; a ligand has no heavy
        atom; or nothing is left to predict.
    """
    for code in sorted(named_components(fold_input)):
        if not ccd[code].get("_chem_comp_atom.atom_id"):
            raise UserError(f"chemical component {code!r} cannot be predicted: it has no atoms")
    for ligand in fold_input.ligands:
        if ligand.smiles is not None and smiles_atoms(ligand.smiles) == 0:
            raise UserError(
                f"ligand {ligand.id} cannot be predicted: "
                f"the SMILES string {ligand.smiles!r} has no heavy atom"
            )
    try:
        found = predicted_structure(fold_input, ccd, fix_standalone_glycans=fix_standalone_glycans)
    except REFUSALS as error:
        raise UserError(brief(error)) from error
    if not any(residue.tokens for residue in found.residues):
        raise UserError(
            "there is nothing to predict: every chain consists of unknown residues or begins "
            "with a hydrogen"
        )
    predicted = {(residue.chain, residue.number): residue for residue in found.residues}
    for bond in found.bonds:
        for chain, number, name in bond:
            if name not in predicted[chain, number].atoms:
                raise UserError(
                    f"a bond names the atom {name} of residue {number} of chain {chain}, which "
                    "AlphaFold 3 does not predict"
                )
    return found


def check_msa(chain: ProteinChain | RnaChain, kind: str, a3m: str) -> None:
    """Check that an MSA can be read and aligns to its chain.

    Parameters
    ----------
    chain
        The chain.
    kind
        ``unpaired`` or ``paired``, for messages.
    a3m
        The MSA in A3M format.

    Raises
    ------
    UserError
        The MSA is not A3M, does not begin with its chain's sequence, or has rows of unequal
        length or unknown letters.
    """
    from alphafold3.data import msa

    first = next((line for line in a3m.splitlines() if line.strip()), ">")
    if not first.lstrip().startswith((">", "#")):
        raise UserError(
            f"the {kind} MSA of chain {chain.id} is not A3M: it begins with {brief(first)!r} "
            f"instead of '>'; give a path as {kind}MsaPath"
        )
    try:
        msa.Msa.from_a3m(
            query_sequence=chain.sequence,
            chain_poly_type=chain_type(chain),
            a3m=a3m,
            deduplicate=False,
        ).featurize()
    except (*REFUSALS, msa.Error) as error:
        raise UserError(
            f"the {kind} MSA of chain {chain.id} does not fit the chain: {brief(error)}"
        ) from error


def check_template(chain: ProteinChain, number: int, template: Template) -> tuple[Structure, int]:
    """Check that a template can be mapped to its chain.

    Parameters
    ----------
    chain
        The chain.
    number
        Number of the template from 1, for messages.
    template
        The template.

    Returns
    -------
    structure
        The template as upstream reads it.
    unresolved
        Number of mapped residues without coordinates.

    Raises
    ------
    UserError
        The template cannot be parsed, is not a single chain with a release date, or its mapping
        reaches beyond the end of the template or the chain.
    """
    from alphafold3 import structure
    from alphafold3.constants import mmcif_names
    from alphafold3.data import templates

    try:
        parsed = structure.from_mmcif(
            template.mmcif,
            fix_mse_residues=True,
            fix_arginines=True,
            include_bonds=False,
            include_water=False,
            include_other=True,
        )
        features = templates.get_polymer_features(
            chain=parsed,
            chain_poly_type=mmcif_names.PROTEIN_CHAIN,
            query_sequence_length=len(chain),
            query_to_hit_mapping=template.query_to_template_map,
        )
    except REFUSALS as error:
        raise UserError(
            f"template {number} of chain {chain.id} cannot be used: {brief(error)}"
        ) from error
    masks: Sequence[Sequence[int]] = features["template_all_atom_masks"]
    unresolved = sum(not any(masks[index]) for index in template.query_to_template_map)
    return parsed, unresolved


def chain_type(chain: ProteinChain | RnaChain) -> str:
    """Return upstream's name for the polymer type of a chain."""
    from alphafold3.common.folding_input import ProteinChain
    from alphafold3.constants import mmcif_names

    is_protein = isinstance(chain, ProteinChain)
    return str(mmcif_names.PROTEIN_CHAIN if is_protein else mmcif_names.RNA_CHAIN)
