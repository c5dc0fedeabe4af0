"""The chemical components that an input needs, as upstream's dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.component_files import constants_file
from perfkit.models.af3.chemistry.component_source import read_components, refuse_unknown

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input
    from alphafold3.constants.chemical_components import Ccd

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
"""The columns that upstream reads of a component, and those that say what it is."""

_FILE_ATTRIBUTES = ("_CCD_PICKLE_FILE", "_CCD_MSGPACK_FILE")
"""Where upstream keeps the path of the dictionary: ColabFold's build, and DeepMind's today."""


def components_needed(fold_input: Input) -> frozenset[str]:
    """The codes of all components that featurising an input looks up.

    These are the standard residues of proteins, RNA and DNA with the unknown ones,
    selenomethionine and water (templates contain them), and what the input names as residue,
    modification or ligand. Components that the input defines itself are left out.
    """
    from alphafold3.constants import residue_names as names

    codes = {
        *names.PROTEIN_TYPES_WITH_UNKNOWN,
        *names.NUCLEIC_TYPES_WITH_2_UNKS,
        names.MSE,
        "HOH",
    }
    return frozenset((codes | named_components(fold_input)) - own_components(fold_input))


def named_components(fold_input: Input) -> frozenset[str]:
    """The codes of all residues, modified residues and ligands of an input."""
    codes: set[str] = set()
    for ligand in fold_input.ligands:
        codes.update(ligand.ccd_ids or ())
    for chain in (*fold_input.protein_chains, *fold_input.rna_chains, *fold_input.dna_chains):
        codes.update(chain.to_ccd_sequence())
    return frozenset(codes)


def own_components(fold_input: Input) -> frozenset[str]:
    """The codes of the components that the input defines itself (``userCCD``)."""
    if not fold_input.user_ccd:
        return frozenset()
    from alphafold3.cpp import cif_dict

    return frozenset(cif_dict.parse_multi_data_cif(fold_input.user_ccd))


def build_dictionary(codes: Iterable[str], suffix: str = ".pickle") -> Path:
    """A dictionary of some components in the cache, built in seconds when it is not there.

    Parameters
    ----------
    codes
        Component codes as in the wwPDB's Chemical Component Dictionary.
    suffix
        The format: ``.pickle`` or ``.msgpack``.

    Raises
    ------
    UserError
        A code is not in the dictionary (with the nearest that are), or the cache cannot be
        written.
    MissingDependencyError
        biotite, from which the dictionary is built, lacks its own.
    """
    wanted = sorted(set(codes))
    return constants_file(
        "dictionary of chemical components",
        suffix,
        {"codes": wanted, "columns": _COLUMNS},
        lambda: read_components(wanted, _COLUMNS),
    )


def ccd_for(fold_input: Input) -> Ccd:
    """Upstream's component dictionary for an input, with the components it defines itself.

    The package's own dictionary is used where it has one. Otherwise a reduced one is built, and
    becomes the default of upstream too, which parses some templates without being given any.

    Raises
    ------
    UserError
        The input names an unknown component, or its own components cannot be read.
    """
    from alphafold3.constants import chemical_components as module

    needed = components_needed(fold_input)
    attribute = next((name for name in _FILE_ATTRIBUTES if hasattr(module, name)), None)
    if attribute is None:
        raise UserError(
            "the installed alphafold3 keeps its chemical components in a way that perfkit does "
            "not know: install the version that perfkit's af3 extra names"
        )
    path = _packaged_dictionary(Path(getattr(module, attribute)).suffix)
    packaged = path.exists()
    if not packaged:
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
    """Where the package would keep its dictionary."""
    from alphafold3.common import resources

    return Path(resources.filename(resources.ROOT / f"constants/converters/ccd{suffix}"))
