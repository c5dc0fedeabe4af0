"""FASTA: which molecule a record is, what is left out of it, and that both are said."""

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
    """Kind and sequence of each chain, and the notices."""
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
def test_a_header_that_says_the_molecule_is_believed(
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
def test_words_of_a_header_decide_and_are_said(
    header: str, sequence: str, kind: str, tmp_path: Path
) -> None:
    chains, (notice,) = _read(f">{header}\n{sequence}\n", tmp_path)
    assert chains == [(kind, sequence)]
    assert "because of its header" in notice


def test_words_do_not_make_a_protein_of_a_long_gene(tmp_path: Path) -> None:
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
def test_what_is_guessed_is_said_with_how_to_say_otherwise(
    sequence: str, kind: str, tmp_path: Path
) -> None:
    chains, (notice,) = _read(f">m\n{sequence}\n", tmp_path)
    assert chains == [(kind, sequence)]
    assert notice.startswith("record 1 'm': guessed to be ")
    assert ">name|protein" in notice
    assert "--molecule" in notice


def test_an_option_says_the_molecule_of_records_that_do_not(tmp_path: Path) -> None:
    text = ">m\nGACGAC\n>x|dna\nGAC\n"
    assert _read(text, tmp_path, molecule="dna")[0] == [("dna", "GACGAC"), ("dna", "GAC")]
    assert _read(">m\nGACGAC\n", tmp_path, molecule="protein") == ([("protein", "GACGAC")], ())
    with pytest.raises(UserError, match=r"record 2 'x\|dna' says that it is DNA, and --molecule"):
        _read(text, tmp_path, molecule="protein")
    with pytest.raises(UserError, match="--molecule takes protein, dna, rna, not 'peptide'"):
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
def test_a_suffix_says_the_molecule_too(
    name: str, sequence: str, kind: str, tmp_path: Path
) -> None:
    chains, (notice,) = _read(f">m\n{sequence}\n", tmp_path, name)
    assert chains == [(kind, sequence)]
    assert f"as the file's suffix {name[1:]} says" in notice


def test_ligands_of_boltz_and_chai_are_ligands(tmp_path: Path) -> None:
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
def test_line_ends_marks_and_case_do_not_matter(text: str | bytes, tmp_path: Path) -> None:
    assert _read(text, tmp_path) == ([("protein", PROTEIN)], ())


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("GSAKLVEE*", "the stop sign * at the end is left out"),
        ("GSA--KLV.EE", "3 gaps are left out"),
        ("1 GSAK 5 LVEE", "2 digits are left out"),
    ],
)
def test_what_is_left_out_is_said(sequence: str, said: str, tmp_path: Path) -> None:
    chains, notices = _read(f">x|protein\n{sequence}\n", tmp_path)
    assert chains == [("protein", PROTEIN)]
    assert notices == (f"record 1 'x|protein': {said}",)


def test_rna_that_is_written_with_t_is_read_with_u(tmp_path: Path) -> None:
    chains, notices = _read(">x|rna\nGATTC\n", tmp_path)
    assert chains == [("rna", "GAUUC")]
    assert notices == ("record 1 'x|rna': 2 T are read as U of RNA",)


def test_a_colon_separates_chains(tmp_path: Path) -> None:
    """As ColabFold has it."""
    chains, _ = _read(">dimer|protein\nGSAKLVEE:PVLSCGEW:\nGG\n", tmp_path)
    assert chains == [("protein", each) for each in ("GSAKLVEE", "PVLSCGEW", "GG")]


def test_several_records_are_one_complex_and_equal_headers_are_said(tmp_path: Path) -> None:
    chains, notices = _read(">m|protein\nGS\n>m|protein\nAK\n", tmp_path)
    assert chains == [("protein", "GS"), ("protein", "AK")]
    assert notices == (
        "the 2 records of the FASTA file are the chains of one complex",
        "the header 'm|protein' names 2 records, all of which are predicted",
    )


def test_copies_in_a_header_of_the_pdb_are_said(tmp_path: Path) -> None:
    _, notices = _read(">4HHB_1|Chains A, C|Hemoglobin|Homo sapiens\nVLSPADKTNV\n", tmp_path)
    assert "one chain is predicted, not the copies A, C" in notices[0]


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
        (">a\nMK*TA\n", "holds '*', which is no residue"),
        (">a\nMK?TA\n", "holds '?', which is no residue"),
        (">a\nMKÄ\n", "holds 'Ä', which is no residue"),
        (b">a\n\xff\xfe\n", "not a text file in UTF-8"),
    ],
)
def test_a_bad_file_gets_one_sentence(text: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        _read(text, tmp_path)
    assert words in str(refused.value)
    assert str(tmp_path / "a.fasta") in str(refused.value)


def test_fasta_is_known_by_its_suffix_or_its_first_character(tmp_path: Path) -> None:
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
        "record 1 'strands': taken for DNA, as the file's suffix .fna says",
        "DNA chain A: AlphaFold 3 predicts R at 4 as unknown, without a base",
        "DNA chain B: AlphaFold 3 predicts Y at 4 as unknown, without a base",
    )
    with pytest.raises(UserError, match=r"--job chooses among AlphaFold Server jobs"):
        load_fold_input(path, job="1")
