"""Notices about chains, residues, bonds and components that AlphaFold 3 drops or replaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from perfkit.models.af3.chemistry.components import named_components, user_defined_components
from perfkit.models.af3.chemistry.tokens import (
    GLYCAN_LEAVING,
    Atom,
    PredictedStructure,
    Residue,
    glycans,
)
from perfkit.models.af3.inputs.listing import listed

if TYPE_CHECKING:
    from alphafold3.common.folding_input import DnaChain, Input, ProteinChain, RnaChain
    from alphafold3.constants.chemical_components import Ccd

    type Chain = ProteinChain | RnaChain | DnaChain

_MOST_NAMED = 8
"""Most residues or components that one notice names."""


def structure_notices(
    fold_input: Input, structure: PredictedStructure, ccd: Ccd
) -> tuple[str, ...]:
    """Describe every part of an input that the model does not predict as given.

    Parameters
    ----------
    fold_input
        The input.
    structure
        The part of the input that the model predicts.
    ccd
        Component dictionary of the input.

    Returns
    -------
    tuple of str
        One sentence per finding.
    """
    return (
        *_dropped_chains(fold_input, structure.residues),
        *_unknown_letters(fold_input, structure.residues),
        *_dropped_atoms(fold_input, structure.residues, ccd),
        *_ignored_bonds(fold_input, structure),
        *_unused_components(fold_input),
    )


def chain_kind(chain: object) -> str:
    """Return the name that notices use for the type of a chain, e.g. ``protein`` or ``RNA``."""
    name = type(chain).__name__.removesuffix("Chain")
    return name.lower() if name in ("Protein", "Ligand") else name.upper()


def _dropped_chains(fold_input: Input, residues: Sequence[Residue]) -> Iterator[str]:
    from alphafold3.constants import residue_names

    chains = {residue.chain for residue in residues}
    for chain in fold_input.chains:
        if chain.id in chains:
            continue
        codes = set(_codes(chain))
        reason = (
            f"chains of unknown residues only ({', '.join(sorted(codes))})"
            if codes <= set(residue_names.UNKNOWN_TYPES)
            else "chains whose components begin with a hydrogen, or of which bonds name only "
            f"hydrogens or leaving atoms ({', '.join(sorted(codes))})"
        )
        yield (
            f"{chain_kind(chain)} chain {chain.id} is left out of the prediction: AlphaFold 3 "
            f"drops {reason}"
        )


def _codes(chain: object) -> Sequence[str]:
    to_ccd_sequence = getattr(chain, "to_ccd_sequence", None)
    if to_ccd_sequence is not None:
        codes: Sequence[str] = to_ccd_sequence()
        return codes
    return getattr(chain, "ccd_ids", None) or ()


def _unknown_letters(fold_input: Input, residues: Sequence[Residue]) -> Iterator[str]:
    """Describe residues that are predicted as unknown; identical chains share one notice."""
    from alphafold3.constants import residue_names

    chains = {residue.chain for residue in residues}
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for chain in (*fold_input.protein_chains, *fold_input.rna_chains, *fold_input.dna_chains):
        ((_, content),) = chain.to_dict().items()
        places = [
            f"{letter} at {position}"
            for position, (letter, code) in enumerate(
                zip(content["sequence"], chain.to_ccd_sequence(), strict=True), 1
            )
            if code in residue_names.UNKNOWN_TYPES
        ]
        if places and chain.id in chains:
            alike[chain_kind(chain), listed(places, _MOST_NAMED)].append(chain.id)
    for (kind, letters), ids in alike.items():
        lacking = "side chain" if kind == "protein" else "base"
        yield (
            f"{kind} chain{'s' * (len(ids) > 1)} {', '.join(ids)}: AlphaFold 3 predicts {letters} "
            f"as unknown, without a {lacking}"
        )


def _dropped_atoms(fold_input: Input, residues: Sequence[Residue], ccd: Ccd) -> Iterator[str]:
    ligands = {ligand.id for ligand in fold_input.ligands}
    bonded = {(chain, number) for bond in _bonds(fold_input) for chain, number, _ in bond}
    sugars = glycans()
    without: list[str] = []
    for residue in residues:
        place = f"residue {residue.number} of chain {residue.chain} ({residue.component})"
        if not residue.tokens:
            yield f"{place} is not predicted: it has no heavy atom left"
        elif (
            residue.chain in ligands
            and residue.component in sugars
            and (residue.chain, residue.number) not in bonded
            and GLYCAN_LEAVING not in residue.atoms
            and GLYCAN_LEAVING in ccd[residue.component]["_chem_comp_atom.atom_id"]
        ):
            without.append(place)
    if without:
        yield (
            f"predicted without {GLYCAN_LEAVING}: {listed(without, _MOST_NAMED)}; AlphaFold 3 "
            "drops that atom from every glycan unless a bond names it"
        )


def _ignored_bonds(fold_input: Input, structure: PredictedStructure) -> Iterator[str]:
    predicted = {(residue.chain, residue.number): residue for residue in structure.residues}
    ligands = {ligand.id for ligand in fold_input.ligands}
    proteins = {chain.id for chain in fold_input.protein_chains}
    for bond in _bonds(fold_input):
        reason = _why_ignored(bond, predicted, ligands, proteins)
        if reason is None and bond not in structure.bonds:
            reason = "AlphaFold 3 predicts neither hydrogens nor leaving atoms"
        if reason:
            (chain, number, name), (other_chain, other_number, other_name) = bond
            yield (
                f"the bond {chain} {number} {name} - {other_chain} {other_number} {other_name} is "
                f"ignored: {reason}"
            )


def _why_ignored(
    bond: tuple[Atom, Atom],
    predicted: Mapping[tuple[str, int], Residue],
    ligands: set[str],
    proteins: set[str],
) -> str | None:
    first, second = bond
    are_ligands = [atom[0] in ligands for atom in bond]
    if not any(are_ligands):
        return "AlphaFold 3 does not use bonds between polymers"
    if first[:2] == second[:2]:
        return "within a residue AlphaFold 3 uses only the bonds of its component"
    for chain, number, name in bond:
        residue = predicted.get((chain, number))
        if residue is None:
            return f"chain {chain} is not predicted"
        # Upstream assigns the bond of a polymer to the token of its CA or C1'.
        centre = "CA" if chain in proteins else "C1'"
        if (name if chain in ligands else centre) not in residue.tokens:
            lacking = f"its atom {name}" if chain in ligands else f"a token of {centre}"
            return f"{residue.component} of chain {chain} is predicted without {lacking}"
    if all(are_ligands) and any(atom[2].startswith("H") for atom in bond):
        return "AlphaFold 3 treats atoms whose names begin with H as hydrogen"
    return None


def _bonds(fold_input: Input) -> list[tuple[Atom, Atom]]:
    pairs = fold_input.bonded_atom_pairs or ()
    return [(Atom(*first), Atom(*second)) for first, second in pairs]


def _unused_components(fold_input: Input) -> Iterator[str]:
    unused = sorted(user_defined_components(fold_input) - named_components(fold_input))
    if unused:
        yield f"userCCD defines components that no chain uses: {listed(unused, _MOST_NAMED)}"
