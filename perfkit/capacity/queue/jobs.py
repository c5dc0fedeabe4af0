"""The queue: jobs from a CSV, from a folder of input files, or from sizes alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from perfkit.capacity.tables import first_sentence, read_csv
from perfkit.errors import UserError
from perfkit.models import get_model, model_names
from perfkit.models.base import REST
from perfkit.models.costs import Job, Reject
from perfkit.units import cut

NAME_COLUMN, MODEL_COLUMN = "name", "model"
"""Columns that a row of every model has."""

ALIASES = {"id": NAME_COLUMN}
"""ColabFold's tables have the columns id and sequence."""


def call_count(job: Job) -> int:
    """Return how often a job calls its compiled function."""
    return get_model(job.model).costs.calls(job.fidelity)


def run_counts(job: Job) -> dict[str, int]:
    """Return how often each part runs in a job, and what belongs to no part."""
    return {**get_model(job.model).part_counts(job.fidelity), REST: call_count(job)}


def job_features(job: Job, settings: Mapping[str, str]) -> dict[str, float]:
    """Return the features of a job.

    Parameters
    ----------
    job
        The job.
    settings
        Settings of the configuration. Those of other knobs than the model's are ignored.

    Raises
    ------
    UserError
        The input is impossible with these settings.
    """
    costs = get_model(job.model).costs
    return costs.features_at(job.size, job.options, job.fidelity, settings)


def production(model: str, **chosen: int | None) -> dict[str, int]:
    """Return the fidelity of a job that asks for nothing but ``chosen``; None asks for nothing."""
    given = {axis: value for axis, value in chosen.items() if value is not None}
    return {**get_model(model).costs.production, **given}


def job_columns() -> tuple[str, ...]:
    """Return the columns that a CSV of jobs may have."""
    own = [column for name in model_names() for column in get_model(name).costs.columns]
    return tuple(dict.fromkeys((NAME_COLUMN, MODEL_COLUMN, *own)))


def read_jobs(path: Path) -> tuple[list[Job], list[Reject]]:
    """Read the jobs of a CSV, or of a folder of input files.

    Returns
    -------
    jobs : list of Job
        Jobs in the order of the file.
    rejects : list of Reject
        Impossible rows or files, in the order of the file.

    Raises
    ------
    UserError
        Nothing can be read at all: no file, an unknown column, no rows.
    """
    if path.is_dir():
        return read_folder(path)
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for row in read_csv(path, job_columns(), ALIASES):
        origin = f"{path}, row {row.number}"
        name = row.values.get(NAME_COLUMN, f"row {row.number}")
        if row.problem is not None:
            rejects.append(Reject(name, origin, row.problem))
            continue
        try:
            jobs.append(_job(row.values, path.parent, origin))
        except ValidationError as error:
            rejects.append(Reject(name, origin, first_sentence(error)))
        except UserError as error:
            rejects.append(Reject(name, origin, str(error)))
    return without_repeats(jobs, rejects)


def read_folder(folder: Path) -> tuple[list[Job], list[Reject]]:
    """Read the input files of a folder. A suffix that several models read is the first one's.

    Returns
    -------
    jobs : list of Job
        Jobs of all files, in the order of their names; a file may hold several.
    rejects : list of Reject
        Files and jobs that cannot be planned.

    Raises
    ------
    UserError
        The folder holds no file that a model reads.
    """
    readers = {
        suffix: name
        for name in reversed(model_names())
        for suffix in get_model(name).costs.suffixes
    }
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in readers)
    if not paths:
        raise UserError(f"{folder} holds no input file ({', '.join(readers)})")
    jobs: list[Job] = []
    rejects: list[Reject] = []
    for path in paths:
        found, refused = get_model(readers[path.suffix.lower()]).costs.jobs_in_file(path)
        jobs += found
        rejects += refused
    return without_repeats(jobs, rejects)


def without_repeats(
    jobs: Sequence[Job], rejects: Sequence[Reject]
) -> tuple[list[Job], list[Reject]]:
    """Keep the first job of each name and reject the others.

    Unpaired surrogates, which JSON and file names may hold and no output accepts, are escaped.
    """
    first: dict[str, Job] = {}
    further = [
        Reject(_encodable(each.name), _encodable(each.origin), _encodable(each.reason))
        for each in rejects
    ]
    for given in jobs:
        job = dataclasses.replace(
            given, name=_encodable(given.name), origin=_encodable(given.origin)
        )
        kept = first.setdefault(job.name, job)
        if kept is not job:
            reason = f"the name {job.name!r} is taken by {kept.origin}"
            further.append(Reject(job.name, job.origin, reason))
    return list(first.values()), further


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def sized_jobs(model: str, sizes: str) -> list[Job]:
    """Return jobs that are given by their sizes alone.

    Parameters
    ----------
    model
        Name of the model.
    sizes
        Sizes as a user writes them, separated by commas.

    Raises
    ------
    UserError
        A size is impossible.
    """
    words = dict.fromkeys(word.strip() for word in sizes.split(","))
    return [sized_job(model, word, f"{model}-{cut(word)}") for word in words]


def sized_job(model: str, size: str, name: str) -> Job:
    """Return the job of a size alone, at production fidelity.

    Parameters
    ----------
    model
        Name of the model.
    size
        Size as a user writes it.
    name
        Name of the job.

    Raises
    ------
    UserError
        The size is impossible.
    """
    costs = get_model(model).costs
    try:
        return costs.job({NAME_COLUMN: name, costs.size_column: size}, Path(), "--size")
    except ValidationError as error:
        raise UserError(f"--size: {first_sentence(error)}") from error


def _job(row: Mapping[str, str], folder: Path, origin: str) -> Job:
    model = _model_of(row)
    own = {column: value for column, value in row.items() if column != MODEL_COLUMN}
    return get_model(model).costs.job(own, folder, origin)


def _model_of(row: Mapping[str, str]) -> str:
    """Return the model that a row names, else the only one that has all of its columns."""
    columns = {name: get_model(name).costs.columns for name in model_names()}
    given = [column for column in row if column not in (NAME_COLUMN, MODEL_COLUMN)]
    named = row.get(MODEL_COLUMN)
    if named is not None:
        if named not in columns:
            raise UserError(f"model is {cut(named)!r}: expected one of {', '.join(columns)}")
        foreign = next((column for column in given if column not in columns[named]), None)
        if foreign is not None:
            raise UserError(
                f"{foreign} is a column of {_owner(foreign, columns)}, but the model of the row "
                f"is {named}: keep one"
            )
        return named
    if not given:
        raise UserError(f"it needs an input: {_inputs()}")
    fitting = [name for name, own in columns.items() if set(given) <= set(own)]
    if len(fitting) > 1:
        raise UserError(
            f"several models have the column {given[0]} ({', '.join(fitting)}): name one in the "
            "column model"
        )
    if fitting:
        return fitting[0]
    first = _owner(given[0], columns)
    other = next((column for column in given if column not in columns[first]), given[-1])
    raise UserError(
        f"{given[0]} is a column of {first} and {other} of {_owner(other, columns)}: keep one"
    )


def _owner(column: str, columns: Mapping[str, Sequence[str]]) -> str:
    return next(name for name, own in columns.items() if column in own)


def _inputs() -> str:
    """All columns that name an input, e.g. ``tokens or file (af3), or grid (gencast)``."""
    own = {name: get_model(name).costs.input_columns for name in model_names()}
    return ", or ".join(f"{' or '.join(columns)} ({name})" for name, columns in own.items())
