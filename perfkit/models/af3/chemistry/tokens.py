"""The tokens of a fold input, as the model makes them, without JAX.

Upstream's own layout imports JAX. Its rules are written out here, on those parts of upstream that
do without it, in the order of ``structure_cleaning.clean_structure``,
``atom_layout.make_flat_atom_layout`` and ``features.tokenizer``. Where a rule looks odd, it is
upstream's; ``benchmarks/scripts/check_token_counts.py`` compares the two for every component.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from perfkit.models.af3.chemistry.component_sets import install_component_sets
from perfkit.models.af3.chemistry.components import ccd_for

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd
    from alphafold3.structure import Structure

HYDROGEN = ("H", "D")
"""Elements that the model does not predict."""

GLYCAN_LEAVING = "O1"
"""The atom that upstream drops of every glycan unless a bond names it."""


class Atom(NamedTuple):
    """Chain, number of the residue from 1, name of the atom."""

    chain: str
    residue: int
    name: str


@dataclass(frozen=True)
class End:
    """One end of a bond, with what decides whether the bond counts."""

    atom: Atom
    component: str
    is_ligand: bool


type Bond = tuple[End, End]


@dataclass(frozen=True)
class Residue:
    """A residue of a chain that the model keeps.

    Parameters
    ----------
    chain, number, component
        Where it is, and its component.
    atoms
        Names of its atoms that are predicted.
    tokens
        Names of those that stand for its tokens.
    """

    chain: str
    number: int
    component: str
    atoms: tuple[str, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What the model keeps of an input.

    Parameters
    ----------
    residues
        In the model's order, with their tokens.
    bonds
        Those that upstream's cleaning leaves.
    """

    residues: tuple[Residue, ...] = ()
    bonds: frozenset[tuple[Atom, Atom]] = frozenset()


def count_tokens(fold_input: Input) -> int:
    """The number of tokens before padding.

    A standard or unknown residue is one token; a modified residue, a ligand and an ion are one
    token for each atom but hydrogen that is predicted (Abramson et al. 2024, Supplementary
    Methods 2.6). Not predicted are the leaving atoms: OXT inside a protein, OP3 inside a nucleic
    acid, and a glycan's O1 unless a bond names it. Upstream drops whole chains too: those of
    unknown residues only, and those whose components all begin with a hydrogen.

    Raises
    ------
    UserError
        The input names an unknown component.
    """
    return sum(len(residue.tokens) for residue in kept(fold_input, ccd_for(fold_input)).residues)


def kept(fold_input: Input, ccd: Ccd) -> Kept:
    """The residues of an input that the model predicts, and the bonds that it takes.

    Raises
    ------
    ValueError, LookupError
        Upstream refuses the input.
    """
    install_component_sets()
    struct = _cleaned(fold_input.to_structure(ccd=ccd), ccd)
    if struct is None:
        return Kept()
    bonds = frozenset((one.atom, other.atom) for one, other in ligand_bonds(struct))
    return Kept(tuple(_residues(struct, ccd)), bonds)


def ligand_bonds(struct: Structure) -> tuple[Bond, ...]:
    """The bonds that upstream keeps: between two residues at least one of which is a ligand's."""
    from alphafold3.constants import mmcif_names

    def end(atom: dict[str, object]) -> End:
        place = Atom(str(atom["chain_id"]), int(str(atom["res_id"])), str(atom["atom_name"]))
        kind = atom["chain_type"]
        return End(place, str(atom["res_name"]), kind in mmcif_names.LIGAND_CHAIN_TYPES)

    found = [(end(bond.from_atom), end(bond.dest_atom)) for bond in struct.iter_bonds()]
    return tuple(
        (one, other)
        for one, other in found
        if (one.is_ligand or other.is_ligand) and one.atom[:2] != other.atom[:2]
    )


def _cleaned(struct: Structure, ccd: Ccd) -> Structure | None:
    """The structure after upstream's cleaning; None where no chain is left.

    At this point each residue is one atom, its component's first, or those that bonds name.
    """
    unknown = struct.find_chains_with_unknown_sequence()
    if len(unknown) == struct.num_chains:
        return None
    struct = struct.filter_out(chain_id=unknown) if unknown else struct
    struct = struct.drop_non_standard_atoms(ccd=ccd, drop_unk=False, drop_non_ccd=False)
    struct = struct.with_sorted_chains.without_hydrogen()
    if struct.num_chains == 0:
        return None
    struct = struct.filter_out(_leaving(struct))
    return struct if struct.num_chains else None


def _leaving(struct: Structure) -> npt.NDArray[np.bool_]:
    """Which atoms upstream drops as the leaving atoms of glycans."""
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
    if all(atom.name != GLYCAN_LEAVING for atom in bonded):
        return drop
    names = ("OXT", "OP3", GLYCAN_LEAVING)
    for index in np.flatnonzero(is_glycan & np.isin(struct.atom_name, names)):
        atom = Atom(struct.chain_id[index], int(struct.res_id[index]), struct.atom_name[index])
        drop[index] = atom.name in _link_leaving(
            str(struct.chain_type[index]),
            starts=False,
            ends=False,
            unbonded_glycan=Atom(atom.chain, atom.residue, GLYCAN_LEAVING) not in bonded,
        )
    return drop


def _first_of_each_atom(bonds: Sequence[Bond]) -> Iterator[Bond]:
    """The bonds neither of whose atoms an earlier bond has: upstream forgets the others here."""
    seen: set[Atom] = set()
    for bond in bonds:
        atoms = {end.atom for end in bond}
        if not atoms & seen:
            yield bond
        seen |= atoms


def _link_leaving(
    chain_type: str, *, starts: bool, ends: bool, unbonded_glycan: bool
) -> frozenset[str]:
    """Atoms that a residue loses by its place in the chain."""
    from alphafold3.constants import mmcif_names

    if chain_type == mmcif_names.PROTEIN_CHAIN:
        return frozenset() if ends else frozenset({"OXT"})
    if chain_type in mmcif_names.NUCLEIC_ACID_CHAIN_TYPES:
        return frozenset() if starts else frozenset({"OP3"})
    return frozenset({GLYCAN_LEAVING}) if unbonded_glycan else frozenset()


def _residues(struct: Structure, ccd: Ccd) -> Iterator[Residue]:
    from alphafold3.constants import mmcif_names

    sugars = glycans()
    bonded = {end.atom for bond in ligand_bonds(struct) for end in bond}
    # A residue that is represented by its OXT counts as the end of its chain.
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
                unbonded_glycan=component in sugars
                and Atom(name, number, GLYCAN_LEAVING) not in bonded,
            )
            heavy = _heavy_atoms(struct, component, ccd)
            atoms = tuple(atom for atom in heavy if atom not in leaving)
            tokens = _token_atoms(chain_type, component, atoms)
            yield Residue(name, number, component, atoms, tokens)


def _token_atoms(chain_type: str, component: str, atoms: tuple[str, ...]) -> tuple[str, ...]:
    """One atom for a standard residue, every atom for all else."""
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
    """Names of all atoms but hydrogen; for a SMILES string, numbers."""
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
    """Atoms but hydrogen of a molecule that RDKit can read."""
    from rdkit import Chem

    return sum(atom.GetSymbol() not in HYDROGEN for atom in Chem.MolFromSmiles(smiles).GetAtoms())


def glycans() -> frozenset[str]:
    """The components that upstream takes for glycans."""
    from alphafold3.constants import chemical_component_sets as sets

    return frozenset(sets.GLYCAN_LINKING_LIGANDS | sets.GLYCAN_OTHER_LIGANDS)
