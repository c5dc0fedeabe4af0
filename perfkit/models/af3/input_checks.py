"""What upstream finds out only while featurising, found out before: bonds, MSAs, templates."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.components import named_components
from perfkit.models.af3.tokens import count_tokens

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input, ProteinChain, RnaChain, Template
    from alphafold3.constants.chemical_components import Ccd

_SHORTEST_ALIGNED = 5
"""Upstream ignores the MSA and the templates of chains of up to 4 residues."""


_LONGEST_REASON = 300
"""Characters kept of an upstream message, some of which quote whole sequences."""


def brief(error: Exception) -> str:
    """What an upstream error says, in one line of bearable length."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...")


def check_structure(fold_input: Input, ccd: Ccd) -> None:
    """Checks that components have atoms, that bonds name them, and that something is predicted.

    Raises
    ------
    UserError
        A component has no atoms, a bond names an atom that its component lacks, a SMILES ligand
        takes a component's name, or there is no atom but hydrogen.
    """
    for code in sorted(named_components(fold_input)):
        if not ccd[code].get("_chem_comp_atom.atom_id"):
            raise UserError(f"chemical component {code!r} has no atoms, so it cannot be predicted")
    try:
        fold_input.to_structure(ccd=ccd)
    except (ValueError, KeyError) as error:
        raise UserError(brief(error)) from error
    if count_tokens(fold_input) == 0:
        raise UserError("there is nothing to predict: no atom but hydrogen")


def check_alignments(fold_input: Input) -> None:
    """Checks that MSAs align to their chains and that templates can be placed on them.

    Raises
    ------
    UserError
        An MSA does not begin with its chain's sequence, has rows of unequal length or unknown
        letters; a template cannot be parsed, is not a single chain with a release date, or is
        mapped beyond its own or the chain's end.
    """
    from alphafold3.constants import mmcif_names

    proteins = [chain for chain in fold_input.protein_chains if len(chain) >= _SHORTEST_ALIGNED]
    rnas = [chain for chain in fold_input.rna_chains if len(chain) >= _SHORTEST_ALIGNED]
    for chain in proteins:
        _check_msa(chain, mmcif_names.PROTEIN_CHAIN, "unpaired", chain.unpaired_msa)
        _check_msa(chain, mmcif_names.PROTEIN_CHAIN, "paired", chain.paired_msa)
        for number, template in enumerate(chain.templates, 1):
            _check_template(chain, number, template)
    for chain in rnas:
        _check_msa(chain, mmcif_names.RNA_CHAIN, "unpaired", chain.unpaired_msa)


def _check_msa(chain: ProteinChain | RnaChain, chain_type: str, kind: str, a3m: str) -> None:
    from alphafold3.data import msa

    try:
        msa.Msa.from_a3m(
            query_sequence=chain.sequence, chain_poly_type=chain_type, a3m=a3m, deduplicate=False
        ).featurize()
    except (ValueError, msa.Error) as error:
        raise UserError(
            f"the {kind} MSA of chain {chain.id} does not fit the chain: {brief(error)}"
        ) from error


def _check_template(chain: ProteinChain, number: int, template: Template) -> None:
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
        templates.get_polymer_features(
            chain=parsed,
            chain_poly_type=mmcif_names.PROTEIN_CHAIN,
            query_sequence_length=len(chain),
            query_to_hit_mapping=template.query_to_template_map,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"template {number} of chain {chain.id} cannot be used: {brief(error)}"
        ) from error
