"""What AlphaFold 3 ignores of MSAs and templates is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fold_documents import SEQUENCE, document, notices, protein

pytestmark = pytest.mark.usefixtures("component_cache")

OTHER = "MRTAYIAKQR"


def _a3m(query: str, *rows: str) -> str:
    return "".join(f">{number}\n{row}\n" for number, row in enumerate((query, *rows)))


def _template(data: Path, residues: int = 4) -> dict[str, Any]:
    return {
        "mmcif": (data / "template.cif").read_text(),
        "queryIndices": list(range(residues)),
        "templateIndices": list(range(residues)),
    }


def test_insertions_are_said(tmp_path: Path) -> None:
    a3m = _a3m(SEQUENCE, "MKTAaaYIAK", "MK-AYIAK", "gMKTAYIAK")
    (notice,) = notices(document(protein(unpairedMsa=a3m)), tmp_path)
    assert notice == (
        "protein chain A: insertions (lower case) in 2 of 4 rows of its MSA reach AlphaFold 3 by "
        "their length only"
    )


def test_letters_that_are_read_as_others_are_said(tmp_path: Path) -> None:
    (notice,) = notices(document(protein(unpairedMsa=_a3m(SEQUENCE, "MKTAUBAZ"))), tmp_path)
    assert notice.startswith("protein chain A: B, U, Z in its MSA are read as the nearest residue")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (1023, None),
        (1024, "of the 1,025 rows of its MSA AlphaFold 3's own setting draws 1,024 at random"),
        (16384, "AlphaFold 3 keeps at most 16,384; its own setting draws 1,024 at random"),
    ],
)
def test_rows_beyond_the_limit_are_said(rows: int, said: str | None, tmp_path: Path) -> None:
    found = notices(document(protein(unpairedMsa=_a3m(SEQUENCE, *[SEQUENCE] * rows))), tmp_path)
    assert (found == ()) if said is None else (said in found[0])


def test_the_msa_of_a_chain_of_four_residues_is_ignored_and_said(tmp_path: Path) -> None:
    short = protein("B", sequence="MKTA", unpairedMsa=_a3m("MKTA", "MRTA"))
    (notice,) = notices(document(protein(), short), tmp_path)
    assert notice.startswith("protein chain B: its MSA is ignored")


def test_a_paired_msa_without_a_partner_is_ignored_and_said(tmp_path: Path) -> None:
    paired = protein(["A", "B"], pairedMsa=_a3m(SEQUENCE, "MRTAYIAK"))
    found = notices(document(paired), tmp_path)
    assert found[0] == (
        "protein chain A: the 2 rows of its paired MSA are ignored, because AlphaFold 3 pairs "
        "only where two proteins differ"
    )


def test_paired_rows_without_a_species_that_another_chain_has_are_said(tmp_path: Path) -> None:
    def paired(sequence: str, *species: str) -> str:
        rows = [f">tr|A0A001|A0A001_{each}/1-8\n{sequence}\n" for each in species]
        return f">query\n{sequence}\n" + "".join(rows) + f">unknown\n{sequence}\n"

    one = protein("A", pairedMsa=paired(SEQUENCE, "HUMAN", "MOUSE", "YEAST"))
    other = protein("B", sequence=OTHER, pairedMsa=paired(OTHER, "HUMAN", "MOUSE"))
    assert notices(document(one, other), tmp_path) == (
        "protein chain A: 2 of 5 rows of its paired MSA are ignored, because their headers name "
        "no species that another chain's have",
        "protein chain B: 1 of 4 rows of its paired MSA are ignored, because their headers name "
        "no species that another chain's have",
    )


def test_templates_beyond_the_fourth_are_said(data: Path, tmp_path: Path) -> None:
    found = notices(document(protein(templates=[_template(data, 5)] * 6)), tmp_path)
    assert found == ("protein chain A: of its 6 templates AlphaFold 3 takes the first 4",)


def test_the_templates_of_a_second_equal_chain_are_said(data: Path, tmp_path: Path) -> None:
    given = document(protein("A"), protein("B", templates=[_template(data, 5)]))
    assert notices(given, tmp_path) == (
        "protein chain B: AlphaFold 3 takes the templates of chain A, which has the same "
        "residues, instead of its own",
    )


def test_parts_of_a_template_that_are_not_mapped_are_said(data: Path, tmp_path: Path) -> None:
    assert notices(document(protein(templates=[_template(data, 3)])), tmp_path) == (
        "template 1 of chain A: 3 of its 5 residues are mapped, the others are ignored",
    )


def test_alternative_locations_of_a_template_are_said(data: Path, tmp_path: Path) -> None:
    template = _template(data, 5)
    lines = template["mmcif"].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("ATOM"))
    column = [line for line in lines if line.startswith("_atom_site.")]
    place = next(i for i, name in enumerate(column) if "label_alt_id" in name)
    words = lines[first].split()
    words[place] = "A"
    lines[first] = " ".join(words)
    template["mmcif"] = "\n".join(lines) + "\n"
    assert notices(document(protein(templates=[template])), tmp_path) == (
        "template 1 of chain A: it has alternative locations: AlphaFold 3 takes one of each atom",
    )


def test_an_index_of_the_query_that_is_mapped_twice_is_said(data: Path, tmp_path: Path) -> None:
    template = _template(data, 5)
    template["queryIndices"][1] = 0
    found = notices(document(protein(templates=[template])), tmp_path)
    assert found[0] == (
        "template 1 of chain A: queryIndices names 0 more than once, of which AlphaFold 3 takes "
        "the last"
    )
