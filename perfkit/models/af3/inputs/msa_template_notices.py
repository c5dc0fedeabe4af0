"""Checks the MSAs and templates of an input and reports what AlphaFold 3 ignores in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from perfkit.models.af3.chemistry.tokens import Residue
from perfkit.models.af3.inputs.input_checks import (
    SHORTEST_ALIGNED,
    check_msa,
    check_template,
)
from perfkit.models.af3.inputs.structure_notices import chain_kind
from perfkit.models.af3.knobs import UPSTREAM_MSA_ROWS

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input, ProteinChain, Template
    from alphafold3.structure import Structure

_FEATURE_ROWS = 16_384
"""Rows of an MSA that upstream's features hold at most (``msa_crop_size``)."""

_MOST_TEMPLATES = 4
"""Templates per chain that upstream uses at most (``max_templates``)."""

_KNOWN_LETTERS = {"protein": frozenset("ACDEFGHIKLMNPQRSTVWYX-"), "RNA": frozenset("ACGUN-")}
"""Type of a chain -> letters of its MSA that upstream represents as they are."""


def msa_template_notices(fold_input: Input, residues: Sequence[Residue]) -> tuple[str, ...]:
    """Describe every part of the MSAs and templates that does not reach the model.

    Parameters
    ----------
    fold_input
        The input.
    residues
        The residues that the model predicts.

    Returns
    -------
    tuple of str
        One sentence per finding.

    Raises
    ------
    UserError
        An MSA or a template cannot be used.
    """
    return (
        *_msa_notices(fold_input, residues),
        *_template_notices(fold_input, residues),
    )


def _msa_notices(fold_input: Input, residues: Sequence[Residue]) -> Iterator[str]:
    kept = {residue.chain for residue in residues}
    proteins = [chain for chain in fold_input.protein_chains if chain.id in kept]
    are_paired = len({chain.sequence for chain in proteins}) > 1
    partners = [chain for chain in proteins if len(chain) >= SHORTEST_ALIGNED]
    species = {chain.id: _species(chain.paired_msa) for chain in partners if are_paired}
    for chain in (*fold_input.protein_chains, *fold_input.rna_chains):
        paired_msa = getattr(chain, "paired_msa", "") or ""
        unpaired_msa = chain.unpaired_msa or ""
        label = f"{chain_kind(chain)} chain {chain.id}"
        if len(chain) < SHORTEST_ALIGNED or chain.id not in kept:
            if unpaired_msa.strip() or paired_msa.strip():
                yield (
                    f"{label}: its MSA is ignored, because AlphaFold 3 ignores MSAs of chains of "
                    f"up to {SHORTEST_ALIGNED - 1} residues and of chains that it drops"
                )
            continue
        check_msa(chain, "unpaired", unpaired_msa)
        check_msa(chain, "paired", paired_msa)
        rows, paired_rows = _rows(unpaired_msa), _rows(paired_msa)
        yield from _letters_lost(label, chain_kind(chain), [*rows, *paired_rows])
        if not are_paired and len(paired_rows) > 1:
            yield (
                f"{label}: the {len(paired_rows)} rows of its paired MSA are ignored, because "
                "AlphaFold 3 pairs rows only between different proteins"
            )
        elif len(paired_rows) > 1:
            others = {name for other in species if other != chain.id for name in species[other]}
            # The first row is the chain itself.
            lost = [name for name in species[chain.id][1:] if not name or name not in others]
            if lost:
                yield (
                    f"{label}: {len(lost)} of {len(paired_rows)} rows of its paired MSA are "
                    "ignored, because their headers name no species of another chain's rows"
                )
        depth = len(rows) + (len(paired_rows) if are_paired else 0)
        if depth > UPSTREAM_MSA_ROWS:
            cropped = f"keeps {_FEATURE_ROWS:,} and " if depth > _FEATURE_ROWS else ""
            # The knob msa_rows sets another number and adds a notice of its own.
            yield (
                f"{label}: of the {depth:,} rows of its MSA AlphaFold 3 by default {cropped}draws "
                f"{UPSTREAM_MSA_ROWS:,} at random"
            )


def _letters_lost(label: str, kind: str, rows: Sequence[str]) -> Iterator[str]:
    with_insertions = sum(any(map(str.islower, row)) for row in rows)
    if with_insertions:
        yield (
            f"{label}: of the insertions (lower case) in {with_insertions} of {len(rows)} rows of "
            "its MSA AlphaFold 3 uses only the length"
        )
    known = _KNOWN_LETTERS[kind]
    foreign = {letter for row in rows for letter in set(row) - known if letter.isupper()}
    if foreign:
        yield (
            f"{label}: AlphaFold 3 reads {', '.join(sorted(foreign))} in its MSA as the nearest "
            "residue that it knows, or as unknown"
        )


def _rows(a3m: str) -> Sequence[str]:
    from alphafold3.data import parsers

    sequences: Sequence[str] = parsers.parse_fasta(a3m)[0]
    return sequences


def _species(a3m: str) -> Sequence[str]:
    """Return the species of each row; empty if its header names none."""
    from alphafold3.data import msa_features, parsers

    _, descriptions = parsers.parse_fasta(a3m)
    found: Sequence[str] = msa_features.extract_species_ids(descriptions)
    return found


def _template_notices(fold_input: Input, residues: Sequence[Residue]) -> Iterator[str]:
    components: dict[str, list[str]] = defaultdict(list)
    for residue in residues:
        components[residue.chain] += [residue.component] * len(residue.tokens)
    first: dict[tuple[str, ...], ProteinChain] = {}
    for chain in fold_input.protein_chains:
        tokens = tuple(components[chain.id])
        label = f"protein chain {chain.id}"
        if len(tokens) < SHORTEST_ALIGNED:
            if chain.templates:
                yield (
                    f"{label}: its templates are ignored, because AlphaFold 3 ignores templates of "
                    f"chains of up to {SHORTEST_ALIGNED - 1} tokens and of chains that it drops"
                )
            continue
        alike = first.setdefault(tokens, chain)
        if alike is not chain and alike.templates != chain.templates:
            yield (
                f"{label}: its templates are ignored, because AlphaFold 3 uses those of chain "
                f"{alike.id}, which has the same residues"
            )
        for number, template in enumerate(chain.templates, 1):
            parsed, unresolved = check_template(chain, number, template)
            if number <= _MOST_TEMPLATES and alike is chain:
                name = f"template {number} of chain {chain.id}"
                yield from _template_parts(name, template, parsed, unresolved)
        if len(chain.templates) > _MOST_TEMPLATES:
            yield (
                f"{label}: of its {len(chain.templates)} templates AlphaFold 3 uses the first "
                f"{_MOST_TEMPLATES}"
            )


def _template_parts(
    name: str, template: Template, parsed: Structure, unresolved: int
) -> Iterator[str]:
    """Describe the parts of a used template that do not reach the model."""
    from alphafold3.structure import mmcif

    mapped = set(template.query_to_template_map.values())
    polymers = parsed.filter_to_entity_type(protein=True, rna=True, dna=True)
    total = sum(len(chain) for chain in polymers.all_residues.values())
    if len(mapped) < total:
        yield f"{name}: {len(mapped)} of its {total} residues are mapped, the others are ignored"
    if unresolved:
        yield f"{name}: {unresolved} of its mapped residues have no coordinates and are ignored"
    ligands = parsed.filter_to_entity_type(ligand=True)
    if ligands.num_chains:
        found = ", ".join(sorted(set(map(str, ligands.res_name))))
        yield f"{name}: its ligands are ignored ({found})"
    file = mmcif.from_string(template.mmcif)
    for column, is_more in (
        ("label_alt_id", "alternative locations: AlphaFold 3 uses one for each atom"),
        ("pdbx_PDB_model_num", "several models: AlphaFold 3 uses the first"),
    ):
        values = set(file.get(f"_atom_site.{column}", ())) - {".", "?"}
        if len(values) > 1 or (values and column == "label_alt_id"):
            yield f"{name}: it has {is_more}"
