"""A structure of three atoms in the columns of mmCIF that AlphaFold 3 writes."""

from __future__ import annotations

MODEL = """data_model
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_entity_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
ATOM 1 N N  . MET A 1 1 ? -1.816 0.142 -1.166 1.00 80.25 1 A 1
ATOM 2 C CA . MET A 1 1 ? -0.392 0.499 -1.214 1.00 81.50 1 A 1
ATOM 3 C C  . MET A 1 1 ? 0.206 0.002 -2.504 1.00 79.75 1 A 1
"""
