"""Compare perfkit's token counts with upstream's layout for components of the dictionary.

Every component is used as a ligand, and as a modified residue at the start, in the middle and at
the end of a protein, an RNA and a DNA chain. The script prints each difference and a summary.

    python -m benchmarks.scripts.check_token_counts [--every 100] [--skip 10000]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from perfkit.paths import CACHE_VARIABLE

DICTIONARY_SIZE = 2000
"""Components per dictionary: a dictionary of all components takes several GB."""

INPUT_SIZE = 10
"""Components per input."""

LETTERS = {"protein": "GGG", "rna": "AAA", "dna": "AAA"}


def documents(codes: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and chain of each use of the components."""
    for code in codes:
        yield f"{code} as ligand", {"ligand": {"ccdCodes": [code]}}
        for kind, letters in LETTERS.items():
            type_key, place_key = (
                ("ptmType", "ptmPosition")
                if kind == "protein"
                else ("modificationType", "basePosition")
            )
            for place in (1, 2, 3):
                chain: dict[str, Any] = {
                    "sequence": letters,
                    "modifications": [{type_key: code, place_key: place}],
                }
                if kind != "dna":
                    chain["unpairedMsa"] = ""
                if kind == "protein":
                    chain |= {"pairedMsa": "", "templates": []}
                yield f"{code} in {kind} at {place}", {kind: chain}


def fold_input(chains: Sequence[dict[str, Any]]) -> Any:
    """Upstream's input with these chains, named A, B, and so on."""
    import json

    from alphafold3.common import folding_input
    from alphafold3.structure import mmcif

    sequences = []
    for number, chain in enumerate(chains, 1):
        ((kind, content),) = chain.items()
        sequences.append({kind: {"id": mmcif.int_id_to_str_id(number), **content}})
    return folding_input.Input.from_json(
        json.dumps(
            {
                "dialect": "alphafold3",
                "version": 1,
                "name": "components",
                "modelSeeds": [1],
                "sequences": sequences,
            }
        )
    )


def upstream_counts(given: Any, ccd: Any) -> Mapping[str, int]:
    """Tokens of each chain by upstream's cleaning, layout and tokenizer."""
    from alphafold3.model import features
    from alphafold3.model.pipeline import inter_chain_bonds, structure_cleaning

    cleaned = structure_cleaning.clean_structure(
        given.to_structure(ccd=ccd),
        ccd=ccd,
        drop_non_standard_atoms=True,
        drop_missing_sequence=True,
        filter_waters=True,
        filter_hydrogens=True,
        filter_leaving_atoms=True,
        only_glycan_ligands_for_leaving_atoms=True,
        covalent_bonds_only=True,
        remove_polymer_polymer_bonds=True,
        remove_bad_bonds=True,
        fix_standalone_glycans=False,
    )
    if cleaned.num_chains == 0:
        return {}
    polymer_ligand, ligand_ligand = inter_chain_bonds.get_polymer_ligand_and_ligand_ligand_bonds(
        cleaned, only_glycan_ligands=False, allow_multiple_bonds_per_atom=True
    )
    _, layout = structure_cleaning.create_empty_output_struc_and_layout(
        struc=cleaned,
        ccd=ccd,
        polymer_ligand_bonds=polymer_ligand,
        ligand_ligand_bonds=ligand_ligand,
        drop_ligand_leaving_atoms=True,
    )
    tokens, _, _ = features.tokenizer(
        layout,
        ccd=ccd,
        max_atoms_per_token=24,
        flatten_non_standard_residues=True,
        logging_name="components",
    )
    return Counter(map(str, tokens.chain_id))


def our_counts(given: Any, ccd: Any) -> Mapping[str, int]:
    """Tokens of each chain by perfkit."""
    from perfkit.models.af3.chemistry.tokens import predicted_structure

    counts: Counter[str] = Counter()
    for residue in predicted_structure(given, ccd).residues:
        counts[residue.chain] += len(residue.tokens)
    return counts


def differences(named: Sequence[tuple[str, dict[str, Any]]], ccd: Any) -> Iterator[str]:
    """One sentence for each chain whose counts differ, or that only one side refuses."""
    given = fold_input([chain for _, chain in named])
    results = []
    for count in (our_counts, upstream_counts):
        try:
            results.append(count(given, ccd))
        except Exception as error:  # whatever upstream raises is a refusal
            results.append({error.__class__.__name__: -1})
    ours, theirs = results
    if len(named) > 1 and (ours != theirs or -1 in ours.values()):
        for one in named:
            yield from differences([one], ccd)
    elif -1 in ours.values() and -1 in theirs.values():
        return
    elif ours != theirs:
        yield f"{named[0][0]}: perfkit {dict(ours)}, upstream {dict(theirs)}"


def main() -> int:
    """Compare, print, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every n-th component")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many at the beginning")
    parser.add_argument("--components", help="take these, separated by commas")
    chosen = parser.parse_args()
    from perfkit.models.af3.chemistry.biotite_dictionary import read_columns
    from perfkit.models.af3.chemistry.components import ccd_for
    from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
    from perfkit.models.af3.inputs.upstream_warnings import capture_warnings

    provide_glycan_ion_sets()
    codes = read_columns("chem_comp", ["id"])["id"][chosen.skip :: chosen.every]
    codes = chosen.components.split(",") if chosen.components else codes
    compared = differing = 0
    with capture_warnings():
        for block in batched(codes, DICTIONARY_SIZE):
            chains = [{"ligand": {"ccdCodes": list(block)}}]
            ccd = ccd_for(fold_input(chains))
            for few in batched(block, INPUT_SIZE):
                named = list(documents(few))
                compared += len(named)
                for sentence in differences(named, ccd):
                    differing += 1
                    print(sentence, flush=True)
            print(f"{compared} chains compared", file=sys.stderr, flush=True)
    print(f"{len(codes)} components, {compared} chains compared, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="perfkit-") as cache:
        os.environ[CACHE_VARIABLE] = cache
        sys.exit(main())
