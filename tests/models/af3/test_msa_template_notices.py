"""Notices about the parts of MSAs and templates that AlphaFold 3 ignores."""

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


def test_insertions_are_reported(tmp_path: Path) -> None:
    a3m = _a3m(SEQUENCE, "MKTAaaYIAK", "MK-AYIAK", "gMKTAYIAK")
    (notice,) = notices(document(protein(unpairedMsa=a3m)), tmp_path)
    assert notice == (
        "protein chain A: of the insertions (lower case) in 2 of 4 rows of its MSA AlphaFold 3 "
        "uses only the length"
    )


def test_letters_that_are_read_as_other_residues_are_reported(tmp_path: Path) -> None:
    (notice,) = notices(document(protein(unpairedMsa=_a3m(SEQUENCE, "MKTAUBAZ"))), tmp_path)
    assert notice.startswith("protein chain A: AlphaFold 3 reads B, U, Z in its MSA as the nearest")


@pytest.mark.parametrize(
    ("rows", "notice"),
    [
        (1023, None),
        (1024, "of the 1,025 rows of its MSA AlphaFold 3 by default draws 1,024 at random"),
        (16384, "AlphaFold 3 by default keeps 16,384 and draws 1,024 at random"),
    ],
)
def test_rows_beyond_the_limit_are_reported(rows: int, notice: str | None, tmp_path: Path) -> None:
    found = notices(document(protein(unpairedMsa=_a3m(SEQUENCE, *[SEQUENCE] * rows))), tmp_path)
    assert (found == ()) if notice is None else (notice in found[0])


def test_the_ignored_msa_of_a_chain_of_four_residues_is_reported(tmp_path: Path) -> None:
    short = protein("B", sequence="MKTA", unpairedMsa=_a3m("MKTA", "MRTA"))
    (notice,) = notices(document(protein(), short), tmp_path)
    assert notice.startswith("protein chain B: its MSA is ignored")


def test_an_ignored_paired_msa_without_a_partner_is_reported(tmp_path: Path) -> None:
    paired = protein(["A", "B"], pairedMsa=_a3m(SEQUENCE, "MRTAYIAK"))
    found = notices(document(paired), tmp_path)
    assert found[0] == (
        "protein chain A: the 2 rows of its paired MSA are ignored, because AlphaFold 3 pairs "
        "rows only between different proteins"
    )


def test_paired_rows_without_a_species_of_another_chain_are_reported(tmp_path: Path) -> None:
    def paired(sequence: str, *species: str) -> str:
        rows = [f">tr|A0A001|A0A001_{name}/1-8\n{sequence}\n" for name in species]
        return f">query\n{sequence}\n" + "".join(rows) + f">unknown\n{sequence}\n"

    one = protein("A", pairedMsa=paired(SEQUENCE, "HUMAN", "MOUSE", "YEAST"))
    other = protein("B", sequence=OTHER, pairedMsa=paired(OTHER, "HUMAN", "MOUSE"))
    assert notices(document(one, other), tmp_path) == (
        "protein chain A: 2 of 5 rows of its paired MSA are ignored, because their headers name "
        "no species of another chain's rows",
        "protein chain B: 1 of 4 rows of its paired MSA are ignored, because their headers name "
        "no species of another chain's rows",
    )


def test_templates_beyond_the_fourth_are_reported(data: Path, tmp_path: Path) -> None:
    found = notices(document(protein(templates=[_template(data, 5)] * 6)), tmp_path)
    assert found == ("protein chain A: of its 6 templates AlphaFold 3 uses the first 4",)


def test_ignored_templates_of_an_identical_chain_are_reported(data: Path, tmp_path: Path) -> None:
    given = document(protein("A"), protein("B", templates=[_template(data, 5)]))
    assert notices(given, tmp_path) == (
        "protein chain B: its templates are ignored, because AlphaFold 3 uses those of chain A, "
        "which has the same residues",
    )


def test_unmapped_residues_of_a_template_are_reported(data: Path, tmp_path: Path) -> None:
    assert notices(document(protein(templates=[_template(data, 3)])), tmp_path) == (
        "template 1 of chain A: 3 of its 5 residues are mapped, the others are ignored",
    )


def test_alternative_locations_of_a_template_are_reported(data: Path, tmp_path: Path) -> None:
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
        "template 1 of chain A: it has alternative locations: AlphaFold 3 uses one for each atom",
    )


def test_a_query_index_that_is_mapped_twice_is_reported(data: Path, tmp_path: Path) -> None:
    template = _template(data, 5)
    template["queryIndices"][1] = 0
    found = notices(document(protein(templates=[template])), tmp_path)
    assert found[0] == (
        "template 1 of chain A: queryIndices contains 0 more than once; AlphaFold 3 uses the last "
        "occurrence"
    )
