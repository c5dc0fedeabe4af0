"""Reads a job from an AlphaFold Server file, which is a JSON list of jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictInt, ValidationError

from perfkit.errors import UserError
from perfkit.models.af3.inputs.json_schema import (
    DEFAULT_SEED,
    DocumentPart,
    Json,
    first_error,
)
from perfkit.models.af3.inputs.listing import listed
from perfkit.models.af3.inputs.upstream_errors import parsing
from perfkit.models.af3.knobs import UPSTREAM_BUCKETS

_MOST_COPIES = UPSTREAM_BUCKETS[-1]
"""Most copies of a chain: the tokens of upstream's largest bucket."""

_NAMES_SHOWN = 5
"""Most jobs that a message lists."""


class _Copies(DocumentPart):
    count: Annotated[StrictInt, Field(ge=1, le=_MOST_COPIES)] = 1


class _ProteinModification(DocumentPart):
    ptm_type: str
    ptm_position: StrictInt


class _Protein(_Copies):
    sequence: str
    modifications: list[_ProteinModification] = Field(default_factory=list)


class _NucleotideModification(DocumentPart):
    modification_type: str
    base_position: StrictInt


class _Nucleic(_Copies):
    sequence: str
    modifications: list[_NucleotideModification] = Field(default_factory=list)


class _Ligand(_Copies):
    ligand: str


class _Ion(_Copies):
    ion: str


class _Entry(DocumentPart):
    protein_chain: _Protein | None = None
    dna_sequence: _Nucleic | None = None
    rna_sequence: _Nucleic | None = None
    ligand: _Ligand | None = None
    ion: _Ion | None = None


class _Job(DocumentPart):
    name: str
    model_seeds: list[int] | None = None
    sequences: list[_Entry]


def job_names(jobs: Sequence[object]) -> list[str]:
    """Return the names of the jobs; a job without a name is called ``job NUMBER``."""
    return [
        str(job["name"]) if isinstance(job, dict) and job.get("name") else f"job {number}"
        for number, job in enumerate(jobs, 1)
    ]


def chosen_job(jobs: Sequence[object], job: str | None, path: Path) -> Json:
    """Choose a job from a file of the AlphaFold Server.

    Parameters
    ----------
    jobs
        The jobs in the file.
    job
        Name of the job, or its number from 1; None if the file has a single job. A number after
        ``#`` is never taken for a name.
    path
        The file, for messages.

    Raises
    ------
    UserError
        The file has no such job, several of that name, or several jobs of which none is named.
    """
    names = job_names(jobs)
    if job is None and len(jobs) == 1:
        place = 0
    else:
        numbered = [f"{number} {name!r}" for number, name in enumerate(names, 1)]
        available = listed(numbered, _NAMES_SHOWN)
        if not jobs:
            raise UserError(f"{path} holds no AlphaFold Server job: the list is empty")
        if job is None:
            raise UserError(
                f"{path} holds {len(jobs)} AlphaFold Server jobs ({available}): choose one with "
                "--job NAME or --job NUMBER"
            )
        number = job.removeprefix("#")
        is_number = number != job and number.isdecimal()
        places = [place for place, name in enumerate(names) if name == job and not is_number]
        if not places and number.isdecimal() and 1 <= int(number) <= len(jobs):
            places = [int(number) - 1]
        if len(places) != 1:
            found = "no job" if not places else f"{len(places)} jobs"
            raise UserError(f"{path} holds {found} {job!r}; its jobs are {available}")
        (place,) = places
    found_job = jobs[place]
    if not isinstance(found_job, dict):
        raise UserError(f"{path} is not a fold input: its job is not a JSON object")
    return found_job


def document_of(job: Json, path: Path) -> tuple[Json, tuple[str, ...]]:
    """Convert a job of the server to a document of the ``alphafold3`` dialect.

    Parameters
    ----------
    job
        The job.
    path
        The file of the job, for messages.

    Returns
    -------
    document
        The same input in the ``alphafold3`` dialect.
    notices
        One sentence per value that was filled in.

    Raises
    ------
    UserError
        The job is invalid.
    """
    from alphafold3.common import folding_input

    try:
        checked = _Job.model_validate(job)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}") from error
    notices: tuple[str, ...] = ()
    if not checked.model_seeds:
        job = {**job, "modelSeeds": [DEFAULT_SEED]}
        notices = (f"no model seed is given; {DEFAULT_SEED} is used",)
    with parsing(path):
        parsed = folding_input.Input.from_alphafoldserver_fold_job(job)
        document: Json = json.loads(parsed.to_json())
    return document, notices
