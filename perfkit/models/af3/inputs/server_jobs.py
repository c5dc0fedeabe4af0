"""Jobs of the AlphaFold Server: a list of them in one file, of which one is predicted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from pydantic.alias_generators import to_camel

from perfkit.errors import UserError
from perfkit.models.af3.inputs.document_errors import first_error
from perfkit.models.af3.inputs.upstream_errors import parsing

type Json = dict[str, object]

DEFAULT_SEED = 1
"""The seed of a job that names none: upstream draws one, which nobody could repeat."""

_MOST_COPIES = 5120
"""Upstream's largest bucket of tokens: no more chains have room in it."""

_NAMES_SHOWN = 5


class _Part(BaseModel):
    """Keys that are not named here are left for upstream's parser to judge."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


class _Copies(_Part):
    count: Annotated[StrictInt, Field(ge=1, le=_MOST_COPIES)] = 1


class _ProteinModification(_Part):
    ptm_type: str
    ptm_position: StrictInt


class _Protein(_Copies):
    sequence: str
    modifications: list[_ProteinModification] = []


class _NucleotideModification(_Part):
    modification_type: str
    base_position: StrictInt


class _Nucleic(_Copies):
    sequence: str
    modifications: list[_NucleotideModification] = []


class _Ligand(_Copies):
    ligand: str


class _Ion(_Copies):
    ion: str


class _Entry(_Part):
    protein_chain: _Protein | None = None
    dna_sequence: _Nucleic | None = None
    rna_sequence: _Nucleic | None = None
    ligand: _Ligand | None = None
    ion: _Ion | None = None


class _Job(_Part):
    name: str
    model_seeds: list[int] | None = None
    sequences: list[_Entry]


def job_names(jobs: Sequence[object]) -> list[str]:
    """What the jobs are called; a job without a name by its number."""
    return [
        str(job["name"]) if isinstance(job, dict) and job.get("name") else f"job {number}"
        for number, job in enumerate(jobs, 1)
    ]


def chosen_job(jobs: Sequence[object], job: str | None, path: Path) -> Json:
    """The job that is meant.

    Parameters
    ----------
    jobs
        The contents of a file of the server.
    job
        Its name or its number from 1; None for the only one.
    path
        The file, for messages.

    Raises
    ------
    UserError
        There is no such job, or several that it could be.
    """
    names = job_names(jobs)
    if job is None and len(jobs) == 1:
        place = 0
    else:
        listed = ", ".join(f"{number} {name!r}" for number, name in enumerate(names, 1))
        if len(names) > _NAMES_SHOWN:
            shown = enumerate(names[:_NAMES_SHOWN], 1)
            listed = ", ".join(f"{number} {name!r}" for number, name in shown)
            listed += f" and {len(names) - _NAMES_SHOWN} more"
        if not jobs:
            raise UserError(f"{path} holds no AlphaFold Server job: the list is empty")
        if job is None:
            raise UserError(
                f"{path} holds {len(jobs)} AlphaFold Server jobs ({listed}): choose one with "
                "--job NAME or --job NUMBER"
            )
        places = [place for place, name in enumerate(names) if name == job]
        if not places and job.isdecimal() and 1 <= int(job) <= len(jobs):
            places = [int(job) - 1]
        if len(places) != 1:
            found = "no job" if not places else f"{len(places)} jobs"
            raise UserError(f"{path} holds {found} {job!r}; there are {listed}")
        (place,) = places
    found_job = jobs[place]
    if not isinstance(found_job, dict):
        raise UserError(f"{path} is not a fold input: it holds no JSON object")
    return found_job


def document_of(job: Json, path: Path) -> tuple[Json, tuple[str, ...]]:
    """A job of the server as a document of the ``alphafold3`` dialect, and notices.

    Raises
    ------
    UserError
        Upstream's parser does not take the job.
    """
    from alphafold3.common import folding_input

    try:
        checked = _Job.model_validate(job)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}") from error
    notices: tuple[str, ...] = ()
    if not checked.model_seeds:
        job = {**job, "modelSeeds": [DEFAULT_SEED]}
        notices = (f"no model seed given, {DEFAULT_SEED} is used",)
    with parsing(path):
        parsed = folding_input.Input.from_alphafoldserver_fold_job(job)
        document: Json = json.loads(parsed.to_json())
    return document, notices
