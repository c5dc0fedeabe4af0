"""Fold inputs as jobs: AlphaFold 3 JSON and FASTA files, their tokens counted as the model does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.capacity.queue.jobs import Job, Reject, production, without_repeats
from perfkit.errors import UserError
from perfkit.models.af3.inputs.fasta import SUFFIXES

JSON_SUFFIX = ".json"

MSA_NOTICE = (
    "it brings an MSA: under msa_rows=needed its trunk takes longer than that of the "
    "single-sequence inputs that a fit measures"
)


@dataclass(frozen=True)
class Given:
    """What a fold input says of itself."""

    name: str
    tokens: int
    seeds: int
    notices: tuple[str, ...]


def read_input(path: Path, job: str | None = None) -> Given:
    """Tokens and seeds of an AlphaFold 3 JSON or a FASTA file.

    Parameters
    ----------
    path
        The file.
    job
        Of several AlphaFold Server jobs in it the one that is meant: its name or number.

    Raises
    ------
    UserError
        It cannot be read, or is no input that can be predicted.
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
    return Given(fold_input.name, count_tokens(fold_input), len(fold_input.rng_seeds), notices)


def with_seeds(options: Mapping[str, str], seeds: int) -> str:
    """The fold input that ``options`` of ``perfkit run`` name, as JSON with seeds 1, 2, ....

    Raises
    ------
    UserError
        It cannot be read.
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


def read_folder(folder: Path) -> tuple[list[Job], list[Reject]]:
    """A job for each fold input of a folder; files that are none are rejects.

    A file with several AlphaFold Server jobs is as many inputs.

    Raises
    ------
    UserError
        The folder holds no such file.
    """
    from perfkit.models.af3.inputs.fold_input import jobs_in

    suffixes = (JSON_SUFFIX, *SUFFIXES)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not paths:
        raise UserError(f"{folder} holds no fold input ({', '.join(suffixes)})")
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for path in paths:
        try:
            count = jobs_in(path)
        except UserError as error:
            rejects.append(Reject(path.stem, str(path), str(error).removeprefix(f"{path}: ")))
            continue
        for job in (str(number) for number in range(1, count + 1)) if count > 1 else (None,):
            try:
                jobs.append(_job(path, job))
            except UserError as error:
                name = path.stem if job is None else f"{path.stem}, job {job}"
                rejects.append(Reject(name, str(path), str(error).removeprefix(f"{path}: ")))
    return without_repeats(jobs, rejects)


def _job(path: Path, job: str | None) -> Job:
    given = read_input(path, job)
    options = {"input": str(path.resolve())}
    if job is not None:
        options["job"] = job
    return Job(
        name=given.name,
        model="af3",
        size=given.tokens,
        fidelity=production("af3", seeds=given.seeds),
        options=options,
        mesh=0,
        origin=str(path) if job is None else f"{path}, job {job}",
        seeds_named=given.seeds,
        notices=given.notices,
    )
