"""What AlphaFold 3 drops or replaces of an input's chains, residues, bonds and components."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from perfkit.models.af3.chemistry.components import named_components, own_components
from perfkit.models.af3.chemistry.tokens import GLYCAN_LEAVING, Atom, Kept, Residue, glycans

if TYPE_CHECKING:
    from alphafold3.common.folding_input import DnaChain, Input, ProteinChain, RnaChain
    from alphafold3.constants.chemical_components import Ccd

    type Chain = ProteinChain | RnaChain | DnaChain

_MOST_NAMED = 8
"""Residues that one notice names."""


def structure_notices(fold_input: Input, kept: Kept, ccd: Ccd) -> tuple[str, ...]:
    """One sentence for each thing that the model does not predict as it was given.

    Parameters
    ----------
    fold_input
        The input.
    kept
        What the model predicts of it.
    ccd
        The components.
    """
    return (
        *_dropped_chains(fold_input, kept.residues),
        *_unknown_letters(fold_input, kept.residues),
        *_dropped_atoms(fold_input, kept.residues, ccd),
        *_ignored_bonds(fold_input, kept),
        *_unused_components(fold_input),
    )


def chain_kind(chain: object) -> str:
    """E.g. ``protein``; what notices call a chain."""
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
            f"{chain_kind(chain)} chain {chain.id} is left out of the prediction: "
            f"AlphaFold 3 drops {reason}"
        )


def _codes(chain: object) -> Sequence[str]:
    to_ccd_sequence = getattr(chain, "to_ccd_sequence", None)
    if to_ccd_sequence is not None:
        codes: Sequence[str] = to_ccd_sequence()
        return codes
    return getattr(chain, "ccd_ids", None) or ()


def _unknown_letters(fold_input: Input, residues: Sequence[Residue]) -> Iterator[str]:
    """Residues that become unknown ones; chains that are alike share a notice."""
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
            alike[chain_kind(chain), _listed(places)].append(chain.id)
    for (kind, listed), ids in alike.items():
        lacking = "side chain" if kind == "protein" else "base"
        yield (
            f"{kind} chain{'s' * (len(ids) > 1)} {', '.join(ids)}: AlphaFold 3 predicts {listed} "
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
            yield f"{place} is left out of the prediction: no atom but hydrogen is left of it"
        elif (
            residue.chain in ligands
            and residue.component in sugars
            and (residue.chain, residue.number) not in bonded
            and GLYCAN_LEAVING in ccd[residue.component]["_chem_comp_atom.atom_id"]
        ):
            without.append(place)
    if without:
        yield (
            f"predicted without {GLYCAN_LEAVING}: {_listed(without)}; AlphaFold 3 drops that atom "
            "of every glycan unless a bond names it"
        )


def _ignored_bonds(fold_input: Input, kept: Kept) -> Iterator[str]:
    predicted = {(residue.chain, residue.number): residue for residue in kept.residues}
    ligands = {ligand.id for ligand in fold_input.ligands}
    proteins = {chain.id for chain in fold_input.protein_chains}
    for bond in _bonds(fold_input):
        reason = _why_ignored(bond, predicted, ligands, proteins)
        if reason is None and bond not in kept.bonds:
            reason = "AlphaFold 3 predicts no hydrogen and no leaving atom"
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
    one, other = bond
    are_ligands = [atom[0] in ligands for atom in bond]
    if not any(are_ligands):
        return "AlphaFold 3 takes no bonds between polymers"
    if one[:2] == other[:2]:
        return "AlphaFold 3 takes no bonds inside one residue but those of its component"
    for chain, number, name in bond:
        residue = predicted.get((chain, number))
        if residue is None:
            return f"chain {chain} is left out"
        # Upstream puts the bond of a polymer on the token of its CA or C1'.
        centre = "CA" if chain in proteins else "C1'"
        if (name if chain in ligands else centre) not in residue.tokens:
            what = f"its atom {name}" if chain in ligands else f"a token of {centre}"
            return f"{residue.component} of chain {chain} is predicted without {what}"
    if all(are_ligands) and any(atom[2].startswith("H") for atom in bond):
        return "AlphaFold 3 takes atoms whose names begin with H for hydrogen"
    return None


def _bonds(fold_input: Input) -> list[tuple[Atom, Atom]]:
    return [(Atom(*one), Atom(*other)) for one, other in fold_input.bonded_atom_pairs or ()]


def _unused_components(fold_input: Input) -> Iterator[str]:
    unused = sorted(own_components(fold_input) - named_components(fold_input))
    if unused:
        yield f"userCCD defines {_listed(unused)}, which no chain uses"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
