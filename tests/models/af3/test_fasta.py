"""FASTA: the molecule types of records, and the notices about guesses and removed characters."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.inputs.fasta import fasta_document, is_fasta
from perfkit.models.af3.inputs.fold_input import load_fold_input

type Chain = tuple[str, str]

PROTEIN = "GSAKLVEE"


def _read(
    text: str | bytes, folder: Path, name: str = "a.fasta", molecule: str | None = None
) -> tuple[list[Chain], tuple[str, ...]]:
    """Return type and sequence of each chain, and the notices."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    document, notices = fasta_document(path, molecule)
    entries = document["sequences"]
    assert isinstance(entries, list)
    chains = []
    for entry in entries:
        ((kind, content),) = entry.items()
        text_of = content.get("sequence") or content.get("smiles") or content["ccdCodes"][0]
        chains.append((kind, text_of))
    return chains, notices


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("A|protein|./a.a3m", "protein"),
        ("A|protein", "protein"),
        ("DNA|protein", "protein"),
        ("B|dna", "dna"),
        ("C|RNA|empty", "rna"),
        ("protein|name=elastin", "protein"),
        ("dna|name=strand", "dna"),
        ("1ubq_A mol:protein length:76  UBIQUITIN", "protein"),
        ("x molecule: dna", "dna"),
        ("NM_1 [moltype=mRNA]", "rna"),
        ("NC_1 [mol_type=genomic DNA]", "dna"),
        ("x type=polyribonucleotide", "rna"),
        ("sp|P15502|ELN_HUMAN Elastin", "protein"),
        ("UniRef100_P15502 Elastin", "protein"),
    ],
)
def test_a_type_stated_in_the_header_is_used_without_a_notice(
    header: str, kind: str, tmp_path: Path
) -> None:
    chains, notices = _read(f">{header}\nGACAGA\n", tmp_path)
    assert chains == [(kind, "GACAGA")]
    assert notices == ()


@pytest.mark.parametrize(
    ("header", "sequence", "kind"),
    [
        ("elastin-like peptide, protein", "GGAGGAGTCG", "protein"),
        ("poly-N peptide", "NNNNNN", "protein"),
        ("DNA-binding protein", "GACGAC", "protein"),
        ("protein-binding DNA aptamer", "GACGAC", "dna"),
        ("telomerase RNA", "GACGAC", "rna"),
        ("RNA polymerase subunit", "GACGAC", "protein"),
    ],
)
def test_words_of_a_header_decide_with_a_notice(
    header: str, sequence: str, kind: str, tmp_path: Path
) -> None:
    chains, (notice,) = _read(f">{header}\n{sequence}\n", tmp_path)
    assert chains == [(kind, sequence)]
    assert "because of its header" in notice


def test_a_long_sequence_of_bases_is_not_a_protein_whatever_its_header(tmp_path: Path) -> None:
    gene = "ATGGACTCAGTACTGACTAACGTTGACCATGACT"
    chains, (notice,) = _read(f">p53 protein, coding sequence\n{gene}\n", tmp_path)
    assert chains == [("dna", gene)]
    assert "guessed to be DNA by its letters" in notice


@pytest.mark.parametrize(
    ("sequence", "kind"),
    [
        ("GATTACA", "dna"),
        ("GATTACARYN", "dna"),
        ("GAUUACA", "rna"),
        ("GAUUACARYN", "rna"),
        ("NNNNNN", "protein"),
        ("GSAK", "protein"),
        ("GSAKLVEE", "protein"),
        ("GAUTACA", "protein"),
    ],
)
def test_the_notice_of_a_guess_explains_how_to_state_the_type(
    sequence: str, kind: str, tmp_path: Path
) -> None:
    chains, (notice,) = _read(f">m\n{sequence}\n", tmp_path)
    assert chains == [(kind, sequence)]
    assert notice.startswith("record 1 'm': guessed to be ")
    assert ">name|protein" in notice
    assert "--molecule" in notice


def test_an_option_gives_the_type_of_records_that_state_none(tmp_path: Path) -> None:
    text = ">m\nGACGAC\n>x|dna\nGAC\n"
    assert _read(text, tmp_path, molecule="dna")[0] == [("dna", "GACGAC"), ("dna", "GAC")]
    assert _read(">m\nGACGAC\n", tmp_path, molecule="protein") == ([("protein", "GACGAC")], ())
    with pytest.raises(UserError, match=r"record 2 'x\|dna' states DNA, but --molecule"):
        _read(text, tmp_path, molecule="protein")
    with pytest.raises(UserError, match="--molecule must be protein, dna, rna, not 'peptide'"):
        _read(text, tmp_path, molecule="peptide")


@pytest.mark.parametrize(
    ("name", "sequence", "kind"),
    [
        ("a.faa", "GACGAC", "protein"),
        ("a.fna", "GACGACRY", "dna"),
        ("a.fna", "GACGUC", "rna"),
        ("a.frn", "GACGAC", "rna"),
    ],
)
def test_a_file_suffix_gives_the_type(name: str, sequence: str, kind: str, tmp_path: Path) -> None:
    chains, (notice,) = _read(f">m\n{sequence}\n", tmp_path, name)
    assert chains == [(kind, sequence)]
    assert f"because of the suffix {name[1:]}" in notice


def test_ligands_in_the_syntax_of_boltz_and_chai_are_ligands(tmp_path: Path) -> None:
    text = ">A|protein\nGS\n>B|smiles\nC1=CC=CC=C1O\n>C|ccd\nATP\n>ligand|name=x\nc1ccccc1\n"
    assert _read(text, tmp_path)[0][1:] == [
        ("ligand", "C1=CC=CC=C1O"),
        ("ligand", "ATP"),
        ("ligand", "c1ccccc1"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        ">x|protein\nGSAKLVEE\n",
        b"\xef\xbb\xbf>x|protein\nGSAKLVEE\n",
        ">x|protein\r\nGSAK\r\nLVEE\r\n",
        ">x|protein\rGSAK\rLVEE\r",
        "\n\n>x|protein\n\nGSAK\n\nLVEE",
        ">x|protein\n; a comment\ngsak lvee\n",
    ],
)
def test_line_ends_byte_order_marks_and_case_do_not_matter(
    text: str | bytes, tmp_path: Path
) -> None:
    assert _read(text, tmp_path) == ([("protein", PROTEIN)], ())


@pytest.mark.parametrize(
    ("sequence", "notice"),
    [
        ("GSAKLVEE*", "the stop sign * at the end is removed"),
        ("GSA--KLV.EE", "3 gaps are removed"),
        ("1 GSAK 5 LVEE", "2 digits are removed"),
    ],
)
def test_removed_characters_are_reported(sequence: str, notice: str, tmp_path: Path) -> None:
    chains, notices = _read(f">x|protein\n{sequence}\n", tmp_path)
    assert chains == [("protein", PROTEIN)]
    assert notices == (f"record 1 'x|protein': {notice}",)


def test_t_in_rna_is_read_as_u(tmp_path: Path) -> None:
    chains, notices = _read(">x|rna\nGATTC\n", tmp_path)
    assert chains == [("rna", "GAUUC")]
    assert notices == ("record 1 'x|rna': 2 T are read as U of RNA",)


def test_a_colon_separates_chains(tmp_path: Path) -> None:
    """ColabFold writes complexes in this way."""
    chains, _ = _read(">dimer|protein\nGSAKLVEE:PVLSCGEW:\nGG\n", tmp_path)
    assert chains == [("protein", chain) for chain in ("GSAKLVEE", "PVLSCGEW", "GG")]


def test_several_records_are_one_complex_and_equal_headers_are_reported(tmp_path: Path) -> None:
    chains, notices = _read(">m|protein\nGS\n>m|protein\nAK\n", tmp_path)
    assert chains == [("protein", "GS"), ("protein", "AK")]
    assert notices == (
        "the 2 records of the FASTA file are the chains of one complex",
        "2 records have the header 'm|protein'; all of them are predicted",
    )


def test_copies_in_a_header_of_the_pdb_are_reported(tmp_path: Path) -> None:
    _, notices = _read(">4HHB_1|Chains A, C|Hemoglobin|Homo sapiens\nVLSPADKTNV\n", tmp_path)
    assert "only one of the copies A, C is predicted" in notices[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (";only a comment\n", "holds no sequence"),
        ("MKTA\n", "its first line does not begin with >"),
        (">a\n>b\nMK\n", "record 1 'a' has no sequence"),
        (">a\nMK\n>b\n", "record 2 'b' has no sequence"),
        (">a\n*\n", "record 1 'a' has no sequence"),
        (">a|smiles\n", "record 1 'a|smiles' has no sequence"),
        (">a\nMK::TA\n", "has no sequence between two colons"),
        (">a\nMK*TA\n", "holds '*', which is not a residue"),
        (">a\nMK?TA\n", "holds '?', which is not a residue"),
        (">a\nMKÄ\n", "holds 'Ä', which is not a residue"),
        (b">a\n\xff\xfe\n", "not a UTF-8 text file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(
    text: str | bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        _read(text, tmp_path)
    assert words in str(refused.value)
    assert str(tmp_path / "a.fasta") in str(refused.value)


def test_fasta_is_recognised_by_its_suffix_or_first_character(tmp_path: Path) -> None:
    for name, text, expected in (
        ("a.fna", "", True),
        ("a.txt", "\ufeff\n>m\nGS\n", True),
        ("a.txt", '{"a": 1}', False),
        ("a.json", ">m\nGS\n", False),
        ("a.txt", "", False),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert is_fasta(tmp_path / name) is expected
    assert not is_fasta(tmp_path / "none")


@pytest.mark.usefixtures("component_cache")
def test_a_fasta_file_is_a_fold_input(tmp_path: Path) -> None:
    path = tmp_path / "dimer.fna"
    path.write_text(">strands\nGATR:GATY\n")
    fold_input, notices = load_fold_input(path)
    assert [(chain.id, chain.sequence) for chain in fold_input.dna_chains] == [
        ("A", "GATN"),
        ("B", "GATN"),
    ]
    assert (fold_input.name, count_tokens(fold_input)) == ("dimer", 8)
    assert notices == (
        "record 1 'strands': read as DNA because of the suffix .fna",
        "DNA chain A: AlphaFold 3 predicts R at 4 as unknown, without a base",
        "DNA chain B: AlphaFold 3 predicts Y at 4 as unknown, without a base",
    )
    with pytest.raises(UserError, match=r"--job selects an AlphaFold Server job"):
        load_fold_input(path, job="1")
