"""Counts the tokens of a fold input as the model does, without importing JAX.

Upstream's own layout code imports JAX. This module implements the same rules on the parts of
upstream that do not import it, in the order of ``structure_cleaning.clean_structure``,
``atom_layout.make_flat_atom_layout`` and ``features.tokenizer``. Rules that look odd are
upstream's. ``benchmarks/scripts/check_token_counts.py`` compares the two implementations for
every component.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from perfkit.models.af3.chemistry.components import DictionaryFor, ccd_for
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd
    from alphafold3.structure import Structure

HYDROGEN = ("H", "D")
"""Elements that the model does not predict."""

GLYCAN_LEAVING = "O1"
"""The atom that upstream drops from every glycan unless a bond names it."""


class Atom(NamedTuple):
    """One atom of an input.

    Attributes
    ----------
    chain
        Chain identifier.
    residue
        Number of the residue in its chain, from 1.
    name
        Name of the atom in its component.
    """

    chain: str
    residue: int
    name: str


@dataclass(frozen=True)
class BondEnd:
    """One end of a bond, with the properties that decide whether upstream keeps the bond.

    Attributes
    ----------
    atom
        The bonded atom.
    component
        Component code of its residue.
    is_ligand
        Whether its chain is a ligand.
    """

    atom: Atom
    component: str
    is_ligand: bool


type Bond = tuple[BondEnd, BondEnd]
"""The two ends of a bond, in the input's order."""


@dataclass(frozen=True)
class Residue:
    """A residue of a chain that the model predicts.

    Attributes
    ----------
    chain
        Chain identifier.
    number
        Number of the residue in its chain, from 1.
    component
        Component code.
    atoms
        Names of the predicted atoms.
    tokens
        Names of the atoms that represent the residue's tokens, one per token.
    """

    chain: str
    number: int
    component: str
    atoms: tuple[str, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class PredictedStructure:
    """The part of an input that the model predicts.

    Attributes
    ----------
    residues
        Residues in the model's order.
    bonds
        Bonds that remain after upstream's cleaning.
    """

    residues: tuple[Residue, ...] = ()
    bonds: frozenset[tuple[Atom, Atom]] = frozenset()


def count_tokens(
    fold_input: Input,
    dictionary_for: DictionaryFor = ccd_for,
    *,
    fix_standalone_glycans: bool = False,
) -> int:
    """Count the tokens of an input before padding.

    A standard or unknown residue is one token. A modified residue, a ligand or an ion has one
    token per predicted heavy atom (Abramson et al. 2024, Supplementary Methods 2.6). Leaving
    atoms are not predicted: OXT inside a protein, OP3 inside a nucleic acid, and O1 of a glycan
    unless a bond names it. Upstream also drops whole chains: chains of unknown residues only, and
    chains whose components all begin with a hydrogen.

    Parameters
    ----------
    fold_input
        The input.
    dictionary_for
        Returns the component dictionary of the input.
    fix_standalone_glycans
        Whether glycans that are bonded to nothing keep their O1.

    Raises
    ------
    UserError
        The input names an unknown component.
    """
    structure = predicted_structure(
        fold_input, dictionary_for(fold_input), fix_standalone_glycans=fix_standalone_glycans
    )
    return sum(len(residue.tokens) for residue in structure.residues)


def predicted_structure(
    fold_input: Input, ccd: Ccd, *, fix_standalone_glycans: bool = False
) -> PredictedStructure:
    """Find the residues of an input that the model predicts, and the bonds that it uses.

    Parameters
    ----------
    fold_input
        The input.
    ccd
        Component dictionary from :func:`~perfkit.models.af3.chemistry.components.ccd_for`.
    fix_standalone_glycans
        Whether glycans that are bonded to nothing keep their O1.

    Raises
    ------
    ValueError, LookupError
        Upstream refuses the input.
    """
    provide_glycan_ion_sets()
    fix = fix_standalone_glycans
    struct = _cleaned(fold_input.to_structure(ccd=ccd), ccd, fix)
    if struct is None:
        return PredictedStructure()
    bonds = frozenset((start.atom, end.atom) for start, end in ligand_bonds(struct))
    return PredictedStructure(tuple(_residues(struct, ccd, fix)), bonds)


def ligand_bonds(struct: Structure) -> tuple[Bond, ...]:
    """Return the bonds that upstream keeps: between two residues, at least one of a ligand."""
    from alphafold3.constants import mmcif_names

    def end(atom: dict[str, object]) -> BondEnd:
        place = Atom(str(atom["chain_id"]), int(str(atom["res_id"])), str(atom["atom_name"]))
        kind = atom["chain_type"]
        return BondEnd(place, str(atom["res_name"]), kind in mmcif_names.LIGAND_CHAIN_TYPES)

    found = [(end(bond.from_atom), end(bond.dest_atom)) for bond in struct.iter_bonds()]
    return tuple(
        (first, second)
        for first, second in found
        if (first.is_ligand or second.is_ligand) and first.atom[:2] != second.atom[:2]
    )


def _cleaned(struct: Structure, ccd: Ccd, fix_standalone_glycans: bool) -> Structure | None:
    """Clean a structure as upstream does; None if no chain is left.

    At this stage a residue consists of the first atom of its component, or of the atoms that
    bonds name.
    """
    unknown = struct.find_chains_with_unknown_sequence()
    if len(unknown) == struct.num_chains:
        return None
    struct = struct.filter_out(chain_id=unknown) if unknown else struct
    struct = struct.drop_non_standard_atoms(ccd=ccd, drop_unk=False, drop_non_ccd=False)
    struct = struct.with_sorted_chains.without_hydrogen()
    if struct.num_chains == 0:
        return None
    struct = struct.filter_out(_leaving(struct, fix_standalone_glycans))
    return struct if struct.num_chains else None


def _leaving(struct: Structure, fix_standalone_glycans: bool) -> npt.NDArray[np.bool_]:
    """Mark the atoms that upstream drops as leaving atoms of glycans, bool ``[atoms]``."""
    sugars = glycans()
    is_glycan = np.isin(struct.res_name, list(sugars))
    bonds = [bond for bond in ligand_bonds(struct) if any(end.component in sugars for end in bond)]
    bonded = {
        end.atom
        for both_ligands in (False, True)
        for bond in _first_of_each_atom(
            [bond for bond in bonds if all(end.is_ligand for end in bond) is both_ligands]
        )
        for end in bond
    }
    drop: npt.NDArray[np.bool_] = is_glycan & (struct.atom_name == GLYCAN_LEAVING)
    if not fix_standalone_glycans and all(atom.name != GLYCAN_LEAVING for atom in bonded):
        return drop
    names = ("OXT", "OP3", GLYCAN_LEAVING)
    for index in np.flatnonzero(is_glycan & np.isin(struct.atom_name, names)):
        atom = Atom(struct.chain_id[index], int(struct.res_id[index]), struct.atom_name[index])
        drop[index] = atom.name in _link_leaving(
            str(struct.chain_type[index]),
            starts=False,
            ends=False,
            glycan_leaves=_glycan_leaves(atom.chain, atom.residue, bonded, fix_standalone_glycans),
        )
    return drop


def _glycan_leaves(chain: str, residue: int, bonded: Collection[Atom], fix: bool) -> bool:
    """Whether a glycan loses its O1, given the atoms that bonds name.

    Without the fix, every glycan whose O1 is in no bond loses it; with the fix, only those of
    them that are bonded through another atom.
    """
    if Atom(chain, residue, GLYCAN_LEAVING) in bonded:
        return False
    return not fix or any((atom.chain, atom.residue) == (chain, residue) for atom in bonded)


def _first_of_each_atom(bonds: Sequence[Bond]) -> Iterator[Bond]:
    """Yield the bonds that share no atom with an earlier bond; upstream ignores the others here."""
    seen: set[Atom] = set()
    for bond in bonds:
        atoms = {end.atom for end in bond}
        if not atoms & seen:
            yield bond
        seen |= atoms


def _link_leaving(
    chain_type: str, *, starts: bool, ends: bool, glycan_leaves: bool
) -> frozenset[str]:
    """Return the atoms that a residue loses because of its position in the chain."""
    from alphafold3.constants import mmcif_names

    if chain_type == mmcif_names.PROTEIN_CHAIN:
        return frozenset() if ends else frozenset({"OXT"})
    if chain_type in mmcif_names.NUCLEIC_ACID_CHAIN_TYPES:
        return frozenset() if starts else frozenset({"OP3"})
    return frozenset({GLYCAN_LEAVING}) if glycan_leaves else frozenset()


def _residues(struct: Structure, ccd: Ccd, fix_standalone_glycans: bool) -> Iterator[Residue]:
    from alphafold3.constants import mmcif_names

    sugars = glycans()
    bonded = {end.atom for bond in ligand_bonds(struct) for end in bond}
    # Upstream treats a residue that is represented by its OXT as the end of its chain.
    with_oxt = {
        (struct.chain_id[index], int(struct.res_id[index]))
        for index in np.flatnonzero(struct.atom_name == "OXT")
    }
    for chain in struct.iter_chains():
        name, chain_type = str(chain["chain_id"]), str(chain["chain_type"])
        residues = [
            (str(component), int(number)) for component, number in struct.all_residues[name]
        ]
        is_polymer = chain_type in mmcif_names.POLYMER_CHAIN_TYPES
        for index, (component, number) in enumerate(residues):
            leaving = _link_leaving(
                chain_type,
                starts=is_polymer and number == 1,
                ends=(is_polymer and index == len(residues) - 1) or (name, number) in with_oxt,
                glycan_leaves=component in sugars
                and _glycan_leaves(name, number, bonded, fix_standalone_glycans),
            )
            heavy = _heavy_atoms(struct, component, ccd)
            atoms = tuple(atom for atom in heavy if atom not in leaving)
            tokens = _token_atoms(chain_type, component, atoms)
            yield Residue(name, number, component, atoms, tokens)


def _token_atoms(chain_type: str, component: str, atoms: tuple[str, ...]) -> tuple[str, ...]:
    """Return one atom of a standard residue, and every atom of any other residue."""
    from alphafold3.constants import mmcif_names, residue_names

    if chain_type in mmcif_names.PEPTIDE_CHAIN_TYPES:
        standard = {*residue_names.PROTEIN_TYPES_WITH_UNKNOWN, residue_names.MSE}
        centre = "CA"
    elif chain_type in mmcif_names.NUCLEIC_ACID_CHAIN_TYPES:
        standard = {*residue_names.NUCLEIC_TYPES_WITH_2_UNKS}
        centre = "C1'"
    else:
        return atoms
    if component not in standard:
        return atoms
    return (centre,) if centre in atoms else atoms[:1]


def _heavy_atoms(struct: Structure, component: str, ccd: Ccd) -> list[str]:
    """Return the names of the heavy atoms of a component; numbers for a SMILES string."""
    from alphafold3.structure import chemical_components

    if ccd.get(component):
        entry = chemical_components.get_all_atoms_in_entry(ccd=ccd, res_name=component)
        names: Iterable[str] = entry["_chem_comp_atom.atom_id"]
        elements: Iterable[str] = entry["_chem_comp_atom.type_symbol"]
        return [
            name for name, element in zip(names, elements, strict=True) if element not in HYDROGEN
        ]
    smiles = struct.chemical_components_data.chem_comp[component].pdbx_smiles
    return [str(number) for number in range(smiles_atoms(smiles))]


def smiles_atoms(smiles: str) -> int:
    """Count the heavy atoms of a SMILES string that RDKit can read."""
    from rdkit import Chem

    return sum(atom.GetSymbol() not in HYDROGEN for atom in Chem.MolFromSmiles(smiles).GetAtoms())


def glycans() -> frozenset[str]:
    """Return the codes of the components that upstream treats as glycans."""
    from alphafold3.constants import chemical_component_sets as sets

    return frozenset(sets.GLYCAN_LINKING_LIGANDS | sets.GLYCAN_OTHER_LIGANDS)
