"""Provides upstream's component dictionary with the chemical components that an input needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.biotite_dictionary import read_components, refuse_unknown
from perfkit.models.af3.chemistry.component_cache import constants_file
from perfkit.models.af3.chemistry.component_index import file_attribute, read_by_index

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd

type DictionaryFor = Callable[[Input], Ccd]
"""Returns the component dictionary of an input, e.g. :func:`ccd_for`."""

_COLUMNS = {
    "chem_comp": (
        "id",
        "name",
        "type",
        "pdbx_type",
        "formula",
        "formula_weight",
        "mon_nstd_parent_comp_id",
        "one_letter_code",
        "three_letter_code",
        "pdbx_synonyms",
        "pdbx_formal_charge",
        "pdbx_initial_date",
        "pdbx_modified_date",
        "pdbx_release_status",
    ),
    "chem_comp_atom": (
        "comp_id",
        "atom_id",
        "alt_atom_id",
        "type_symbol",
        "charge",
        "pdbx_aromatic_flag",
        "pdbx_leaving_atom_flag",
        "pdbx_stereo_config",
        "model_Cartn_x",
        "model_Cartn_y",
        "model_Cartn_z",
        "pdbx_model_Cartn_x_ideal",
        "pdbx_model_Cartn_y_ideal",
        "pdbx_model_Cartn_z_ideal",
        "pdbx_ordinal",
    ),
    "chem_comp_bond": (
        "comp_id",
        "atom_id_1",
        "atom_id_2",
        "value_order",
        "pdbx_aromatic_flag",
        "pdbx_stereo_config",
        "pdbx_ordinal",
    ),
}
"""Category -> the columns that upstream reads, and the columns that describe a component."""


def components_needed(fold_input: Input) -> frozenset[str]:
    """Return the codes of all components that upstream looks up to featurise an input.

    These are the standard and unknown residues of proteins, RNA and DNA; selenomethionine and
    water, which templates contain; and the residues, modifications and ligands that the input
    names. Components that the input defines itself are left out.
    """
    from alphafold3.constants import residue_names as names

    codes = {
        *names.PROTEIN_TYPES_WITH_UNKNOWN,
        *names.NUCLEIC_TYPES_WITH_2_UNKS,
        names.MSE,
        "HOH",
    }
    return frozenset((codes | named_components(fold_input)) - user_defined_components(fold_input))


def named_components(fold_input: Input) -> frozenset[str]:
    """Return the codes of all residues, modified residues and ligands of an input."""
    codes: set[str] = set()
    for ligand in fold_input.ligands:
        codes.update(ligand.ccd_ids or ())
    for chain in (*fold_input.protein_chains, *fold_input.rna_chains, *fold_input.dna_chains):
        codes.update(chain.to_ccd_sequence())
    return frozenset(codes)


def user_defined_components(fold_input: Input) -> frozenset[str]:
    """Return the codes of the components that the input defines itself (``userCCD``)."""
    if not fold_input.user_ccd:
        return frozenset()
    from alphafold3.cpp import cif_dict

    return frozenset(cif_dict.parse_multi_data_cif(fold_input.user_ccd))


def build_dictionary(codes: Iterable[str], suffix: str = ".pickle") -> Path:
    """Return a cached dictionary of some components; build it, in seconds, if it is missing.

    Parameters
    ----------
    codes
        Component codes as in the wwPDB's Chemical Component Dictionary.
    suffix
        Format of the file: ``.pickle`` or ``.msgpack``.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    UserError
        A code is not in the Chemical Component Dictionary (the message names the nearest valid
        codes), or the cache cannot be written.
    MissingDependencyError
        biotite was installed without its dictionary.
    """
    wanted = sorted(set(codes))
    return constants_file(
        "dictionary of chemical components",
        suffix,
        {"codes": wanted, "columns": _COLUMNS},
        lambda: read_components(wanted, _COLUMNS),
    )


def ccd_for(fold_input: Input) -> Ccd:
    """Return upstream's component dictionary for an input, including the input's own components.

    If the package ships a dictionary, it is used, through an index where the package would read it
    whole (:mod:`~perfkit.models.af3.chemistry.component_index`). Otherwise a reduced one is built
    and also becomes upstream's default, because upstream parses some templates with its default
    dictionary.

    Raises
    ------
    UserError
        The input names an unknown component, the input's own components cannot be read, or the
        installed ``alphafold3`` stores its dictionary under an unknown attribute.
    """
    from alphafold3.constants import chemical_components as module

    needed = components_needed(fold_input)
    attribute = file_attribute(module)
    if attribute is None:
        raise UserError(
            "the installed alphafold3 stores its chemical components where this version of perfkit "
            "cannot find them"
        )
    path = _packaged_dictionary(Path(getattr(module, attribute)).suffix)
    packaged = path.exists()
    if packaged:
        read_by_index(module, path)
    else:
        path = build_dictionary(needed, path.suffix)
        setattr(module, attribute, str(path))
    try:
        ccd: Ccd = module.Ccd(str(path), user_ccd=fold_input.user_ccd)
    except ValueError as error:
        raise UserError(f"the input's own components (userCCD) cannot be read: {error}") from error
    if packaged:
        refuse_unknown(needed, ccd)
    return ccd


def _packaged_dictionary(suffix: str) -> Path:
    """Return the path at which the package ships its dictionary, if it ships one."""
    from alphafold3.common import resources

    return Path(resources.filename(resources.ROOT / f"constants/converters/ccd{suffix}"))
