"""Jobs of AlphaFold 3: rows of a table, fold input files and sequences."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from perfkit.errors import UserError
from perfkit.files import write_whole
from perfkit.models.af3.inputs.fasta import SUFFIXES as FASTA_SUFFIXES
from perfkit.models.af3.inputs.json_schema import DEFAULT_SEED
from perfkit.models.costs import Job, JobRow, Reject, Search
from perfkit.units import HOUR_S, cut, parse_size

NAME = "af3"

SUFFIXES = (".json", *FASTA_SUFFIXES)

MOST_TOKENS = 100_000
"""Twenty times the largest bucket of upstream; no machine has the memory for such a job."""

MOST_SEEDS = 100_000

MOST_SAMPLES = 10_000

ID_LETTERS = 4
"""Letters of a chain's identifier where one letter is not enough: 456,976 chains, more than any
job has tokens."""

MSA_NOTICE = (
    "it has an MSA: under msa_rows=needed its trunk takes longer than that of the "
    "single-sequence inputs that a fit measures"
)

DOCUMENT, NAMED_SEEDS = "document", "named_seeds"
"""Keys of the details of a job: the fold input as JSON, for a row with a sequence; and the number
of seeds that the input names, 1 if the key is missing."""

MSA_CPUS = 8
"""CPUs of a genetic search for which a row states none: the default of each of the search programs
of upstream's data pipeline."""

MOST_MSA_HOURS = 10_000

MOST_MSA_CPUS = 16_384


def _bytes(given: object) -> object:
    """Turn a size such as ``16GB`` into bytes."""
    if not isinstance(given, str):
        return given
    try:
        return parse_size(given)
    except UserError as error:
        raise ValueError(str(error)) from error


type _Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Row(JobRow):
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    file: str | None = None
    sequence: Annotated[str, Field(max_length=2 * MOST_TOKENS)] | None = None
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | None = None
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] | None = None
    recycles: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    steps: _Count | None = None
    msa_hours: Annotated[float, Field(gt=0, le=MOST_MSA_HOURS, allow_inf_nan=False)] | None = None
    msa_cpus: Annotated[int, Field(ge=1, le=MOST_MSA_CPUS)] | None = None
    msa_memory: Annotated[int, BeforeValidator(_bytes)] | None = None

    @model_validator(mode="after")
    def _states_the_hours_of_its_search(self) -> Self:
        for column in ("msa_cpus", "msa_memory"):
            if self.msa_hours is None and getattr(self, column) is not None:
                raise ValueError(f"{column} goes with msa_hours, which is empty")
        return self

    @model_validator(mode="after")
    def _has_one_input(self) -> Self:
        given = [name for name in INPUT_COLUMNS if getattr(self, name) is not None]
        if len(given) != 1:
            found = f", but has {' and '.join(given)}" if given else ""
            raise ValueError(f"it needs either {' or '.join(INPUT_COLUMNS)}{found}")
        return self


INPUT_COLUMNS = ("tokens", "file", "sequence")
COLUMNS = tuple(name for name in _Row.model_fields if name not in JobRow.model_fields)


@dataclass(frozen=True)
class InputSummary:
    """The facts about a fold input that a plan needs.

    Attributes
    ----------
    name
        Name that the input gives itself.
    tokens
        Tokens before padding, as the model counts them.
    seeds
        Number of seeds that it names.
    notices
        Facts that a reader of the plan must know.
    """

    name: str
    tokens: int
    seeds: int
    notices: tuple[str, ...]


def summarise_input(path: Path, job: str | None = None) -> InputSummary:
    """Summarise an AlphaFold 3 JSON or a FASTA file.

    Parameters
    ----------
    path
        The file.
    job
        Name or number of the job to read, where the file holds several AlphaFold Server jobs.

    Raises
    ------
    UserError
        The file cannot be read, or the model cannot predict it.
    """
    from perfkit.models.af3.chemistry.tokens import count_tokens
    from perfkit.models.af3.inputs.fold_input import jobs_in, load_fold_input

    if job is None and (count := jobs_in(path)) > 1:
        raise UserError(
            f"{path} holds {count} AlphaFold Server jobs: name its folder with --jobs, which "
            "plans all of them, or put each into a file of its own"
        )
    fold_input, notices = load_fold_input(path, job=job)
    chains = [*fold_input.protein_chains, *fold_input.rna_chains]
    if any(chain.unpaired_msa for chain in chains):
        notices = (MSA_NOTICE, *notices)
    return InputSummary(
        fold_input.name, count_tokens(fold_input), len(fold_input.rng_seeds), notices
    )


def summarise_sequence(name: str, sequence: str) -> tuple[str, InputSummary]:
    """Turn a complex of proteins into a fold input.

    Parameters
    ----------
    name
        Name of the job.
    sequence
        One-letter codes. A colon joins two chains, as in ColabFold's tables.

    Returns
    -------
    document : str
        The fold input as JSON.
    summary : InputSummary
        Its tokens and notices.

    Raises
    ------
    UserError
        A chain is empty or holds a letter that is not a residue.
    """
    chains = ["".join(chain.split()).upper().removesuffix("*") for chain in sequence.split(":")]
    if not all(chains):
        raise UserError("the sequence has an empty chain: a colon joins two of them")
    repeat = 1 if len(chains) <= len(ascii_uppercase) else ID_LETTERS
    identifiers = itertools.product(ascii_uppercase, repeat=repeat)
    document = json.dumps(
        {
            "dialect": "alphafold3",
            "version": 1,
            "name": name,
            "modelSeeds": [DEFAULT_SEED],
            "sequences": [
                {"protein": {"id": "".join(letters), "sequence": chain}}
                for letters, chain in zip(identifiers, chains, strict=False)
            ],
        }
    )
    with tempfile.TemporaryDirectory(prefix="perfkit-") as folder:
        written = Path(folder) / "input.json"
        written.write_text(document, encoding="utf-8")
        try:
            return document, summarise_input(written)
        except UserError as error:
            # The message must not name a file that no longer exists.
            message = str(error).replace(f"{written}: ", "").replace(str(written), "the sequence")
            raise UserError(message) from error


def job_in_row(
    row: Mapping[str, str], folder: Path, origin: str, production: Mapping[str, int]
) -> Job:
    """Return the job of a row; see :meth:`perfkit.models.costs.CostModel.job`.

    Parameters
    ----------
    row, folder, origin
        Row, folder that relative paths in the row start from, and file and row for messages.
    production
        Values of the fidelity axes that the row does not set.

    Raises
    ------
    pydantic.ValidationError
        A value is missing or impossible.
    UserError
        The input cannot be read or predicted.
    """
    given = _Row.model_validate(row)
    job = _job_of_row(given, folder, origin, production)
    if given.msa_hours is None:
        return job
    cpus = MSA_CPUS if given.msa_cpus is None else given.msa_cpus
    search = Search(given.msa_hours * HOUR_S, cpus, given.msa_memory)
    return dataclasses.replace(job, search=search)


def _job_of_row(given: _Row, folder: Path, origin: str, production: Mapping[str, int]) -> Job:
    chosen = {axis: getattr(given, axis) for axis in production}
    fidelity = {**production, **{axis: n for axis, n in chosen.items() if n is not None}}
    if given.tokens is not None:
        options = {"size": str(given.tokens)}
        return Job(given.name, NAME, given.tokens, fidelity, options, origin)
    if given.sequence is not None:
        document, summary = summarise_sequence(given.name, given.sequence)
        details = {DOCUMENT: document}
        return Job(given.name, NAME, summary.tokens, fidelity, {}, origin, details, summary.notices)
    file = folder / str(given.file)
    try:
        summary = summarise_input(file)
    except OSError as error:
        raise UserError(f"{cut(str(file))} cannot be read ({error.strerror})") from error
    if given.seeds is None:
        fidelity["seeds"] = summary.seeds
    return _job_of_file(given.name, file, None, summary, fidelity, origin)


def jobs_in_file(path: Path, production: Mapping[str, int]) -> tuple[list[Job], list[Reject]]:
    """Return the jobs of a fold input file, and those that cannot be planned.

    Parameters
    ----------
    path
        AlphaFold 3 JSON, AlphaFold Server JSON (any number of jobs), or FASTA.
    production
        Fidelity of the jobs; the seeds are those that the input names.
    """
    from perfkit.models.af3.inputs.fold_input import jobs_in

    try:
        count = jobs_in(path)
    except UserError as error:
        return [], [Reject(path.stem, str(path), str(error).removeprefix(f"{path}: "))]
    numbers = [str(number) for number in range(1, count + 1)] if count > 1 else [None]
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for number in numbers:
        try:
            summary = summarise_input(path, number)
        except UserError as error:
            name = path.stem if number is None else f"{path.stem}, job {number}"
            rejects.append(Reject(name, str(path), str(error).removeprefix(f"{path}: ")))
        else:
            origin = str(path) if number is None else f"{path}, job {number}"
            fidelity = {**production, "seeds": summary.seeds}
            jobs.append(_job_of_file(summary.name, path, number, summary, fidelity, origin))
    return jobs, rejects


def _job_of_file(
    name: str,
    path: Path,
    number: str | None,
    summary: InputSummary,
    fidelity: Mapping[str, int],
    origin: str,
) -> Job:
    options = {"input": str(path.resolve())}
    if number is not None:
        options["job"] = number
    return Job(
        name=name,
        model=NAME,
        size=summary.tokens,
        fidelity=fidelity,
        options=options,
        origin=origin,
        details={NAMED_SEEDS: summary.seeds},
        notices=summary.notices,
    )


def run_options(job: Job, stem: Path) -> Mapping[str, str]:
    """Return the options that describe the job's input to ``perfkit run``.

    A sequence of a table, and an input that names fewer seeds than the job asks for, are written
    as fold inputs with the seeds 1, 2, ....

    Parameters
    ----------
    job
        A job of AlphaFold 3.
    stem
        Path without suffix of the fold input to write.

    Raises
    ------
    UserError
        The input cannot be read or written.
    """
    seeds = job.fidelity["seeds"]
    written = stem.with_name(f"{stem.name}.json")
    if DOCUMENT in job.details:
        document = json.loads(str(job.details[DOCUMENT]))
        text = json.dumps({**document, "modelSeeds": list(range(1, seeds + 1))})
    elif seeds <= int(job.details.get(NAMED_SEEDS, 1)):
        return job.options
    else:
        text = input_with_seeds(job.options, seeds)
    write_whole(written, text, "fold input")
    return {"input": str(written)}


def input_with_seeds(options: Mapping[str, str], seeds: int) -> str:
    """Return the fold input that options of ``perfkit run`` name, as JSON with other seeds.

    Parameters
    ----------
    options
        Options of the input: ``size``, or ``input`` with ``job`` and ``molecule``.
    seeds
        Number of seeds; they are 1, 2, ....

    Raises
    ------
    UserError
        The input cannot be read.
    """
    from perfkit.models.af3.inputs.fold_input import load_fold_input, synthetic_protein
    from perfkit.models.af3.model import SEQUENCE_SEED

    if "size" in options:
        fold_input = synthetic_protein(int(options["size"]), SEQUENCE_SEED)
    else:
        fold_input, _ = load_fold_input(
            Path(options["input"]), job=options.get("job"), molecule=options.get("molecule")
        )
    chosen = dataclasses.replace(fold_input, rng_seeds=tuple(range(1, seeds + 1)))
    return str(chosen.to_json())
