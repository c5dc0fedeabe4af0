"""The options of AlphaFold 3's inputs and files, with the meaning that upstream gives them."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from perfkit.errors import UserError
from perfkit.models.base import Option
from perfkit.models.costs import Options
from perfkit.units import cut

INPUT_OPTIONS = ("job", "molecule")
"""Options that determine how the file of ``input`` is read."""

NUM_SEEDS = "num-seeds"
INPUT_DIR = "input-dir"

_DATE, _ITERATIONS = "max-template-date", "conformer-max-iterations"
_OVERLAPS, _GLYCANS = "resolve-msa-overlaps", "fix-standalone-glycans"
_EMBEDDINGS, _DISTOGRAM = "save-embeddings", "save-distogram"
_TERMS, _COMPRESS = "save-terms-of-use", "compress-large-output-files"

NEWEST_REFERENCE = datetime.date(2021, 9, 30)
"""Upstream's default: the date of the training data in Abramson et al. 2024."""

MOST_ITERATIONS = 2**31 - 1
"""RDKit stores the number of iterations in 32 bits."""

OPTIONS: tuple[Option, ...] = (
    Option("input", str, "fold input, JSON or FASTA (default: ubiquitin, 76 residues)"),
    Option("job", str, "name or number of the job in a file of several AlphaFold Server jobs"),
    Option("molecule", str, "type of FASTA records that state none: protein, dna or rna"),
    Option("size", int, "residues of a synthetic protein to predict instead of an input"),
    Option("model-dir", str, "folder with af3.bin.zst (default: synthetic weights)"),
    Option(NUM_SEEDS, int, "number of seeds, counted up from the only seed of the input"),
    Option(
        _DATE,
        str,
        f"YYYY-MM-DD (default {NEWEST_REFERENCE}): components modified before it may take the "
        "coordinates of a deposited model if there are no others; templates in the input are not "
        "filtered",
    ),
    Option(_ITERATIONS, int, "most iterations of RDKit's conformer search (default: RDKit's own)"),
    Option(
        _OVERLAPS,
        bool,
        "remove rows of the unpaired MSA that are also in the paired MSA (default true)",
        default=True,
    ),
    Option(_GLYCANS, bool, "keep the leaving atom O1 of glycans that are bonded to nothing"),
    Option(INPUT_DIR, str, "folder whose files *.json are predicted in turn", predicts=True),
    Option(_EMBEDDINGS, bool, "also save the embeddings of the trunk", predicts=True),
    Option(_DISTOGRAM, bool, "also save the distogram", predicts=True),
    Option(
        _TERMS,
        bool,
        "save the terms of use of predictions, and their licence in mmCIF files (default true)",
        default=True,
        predicts=True,
    ),
    Option(
        _COMPRESS, bool, "compress mmCIF files and full confidences with zstandard", predicts=True
    ),
)
"""Options of AlphaFold 3. Those below ``--model-dir`` are named after upstream's."""


@dataclass(frozen=True)
class FeatureOptions:
    """Choices of the featurisation; the defaults are upstream's.

    Attributes
    ----------
    newest_reference
        Components modified on this date or later do not take the coordinates of a deposited model
        where they lack ideal ones.
    conformer_iterations
        Most iterations of RDKit's conformer search; None for RDKit's own number.
    resolve_msa_overlaps
        Whether rows of the unpaired MSA that are also in the paired MSA are removed.
    fix_standalone_glycans
        Whether glycans that are bonded to nothing keep their leaving atom O1.
    """

    newest_reference: datetime.date = NEWEST_REFERENCE
    conformer_iterations: int | None = None
    resolve_msa_overlaps: bool = True
    fix_standalone_glycans: bool = False

    @classmethod
    def of(cls, options: Options) -> Self:
        """Read the choices from the options of a call or of a workload.

        Raises
        ------
        UserError
            A value is impossible.
        """
        iterations = options.get(_ITERATIONS)
        if iterations is not None and not 0 <= int(iterations) <= MOST_ITERATIONS:
            raise UserError(
                f"--{_ITERATIONS} takes 0 to {MOST_ITERATIONS:,} iterations, not {iterations}"
            )
        return cls(
            newest_reference=_date(options.get(_DATE)),
            conformer_iterations=None if iterations is None else int(iterations),
            resolve_msa_overlaps=bool(options.get(_OVERLAPS, True)),
            fix_standalone_glycans=bool(options.get(_GLYCANS, False)),
        )

    def arguments_for(self, featurise_input: Callable[..., Any]) -> dict[str, Any]:
        """Return the keyword arguments of upstream's ``featurise_input``.

        Parameters
        ----------
        featurise_input
            The function of the installed package. Arguments at upstream's defaults are left out,
            because older packages do not have all of them.

        Raises
        ------
        UserError
            The installed package lacks an argument that is needed.
        """
        chosen = {
            "conformer_max_iterations": (_ITERATIONS, self.conformer_iterations, None),
            "resolve_msa_overlaps": (_OVERLAPS, self.resolve_msa_overlaps, True),
            "fix_standalone_glycans": (_GLYCANS, self.fix_standalone_glycans, False),
        }
        known = inspect.signature(featurise_input).parameters
        arguments: dict[str, Any] = {"ref_max_modified_date": self.newest_reference}
        for name, (option, value, default) in chosen.items():
            if value == default:
                continue
            if name not in known:
                raise UserError(
                    f"the installed alphafold3 does not offer --{option}: leave it out, or install "
                    "a newer version"
                )
            arguments[name] = value
        return arguments


UPSTREAM_FEATURES = FeatureOptions()


@dataclass(frozen=True)
class FileOptions:
    """Choices of the files that a prediction leaves; the defaults are upstream's.

    Attributes
    ----------
    embeddings
        Whether the single and pair embeddings of each seed are saved.
    distogram
        Whether the distogram of each seed is saved.
    terms_of_use
        Whether the terms of use of the output are saved, and the licence in mmCIF files.
    compress
        Whether mmCIF files and full confidences are compressed with zstandard.
    """

    embeddings: bool = False
    distogram: bool = False
    terms_of_use: bool = True
    compress: bool = False

    @classmethod
    def of(cls, options: Options) -> Self:
        """Read the choices from the options of a call or of a workload."""
        return cls(
            embeddings=bool(options.get(_EMBEDDINGS, False)),
            distogram=bool(options.get(_DISTOGRAM, False)),
            terms_of_use=bool(options.get(_TERMS, True)),
            compress=bool(options.get(_COMPRESS, False)),
        )


UPSTREAM_FILES = FileOptions()


def _date(text: object) -> datetime.date:
    if text is None:
        return NEWEST_REFERENCE
    try:
        return datetime.date.fromisoformat(str(text))
    except ValueError:
        raise UserError(f"--{_DATE} takes a date as YYYY-MM-DD, not {cut(str(text))!r}") from None
