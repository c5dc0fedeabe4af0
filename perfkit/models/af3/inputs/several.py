"""Several inputs of one command, and several seeds of one input."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UserError
from perfkit.models.af3.inputs.fold_input import jobs_in
from perfkit.models.af3.jobs import MOST_SEEDS
from perfkit.models.af3.run_options import INPUT_DIR, INPUT_OPTIONS, NUM_SEEDS
from perfkit.models.costs import Options

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

LARGEST_SEED = 2**32 - 1
"""Largest model seed that upstream takes."""


def each_input(options: Options) -> list[Options]:
    """Split options that name several inputs into the options of each input.

    Parameters
    ----------
    options
        Options of a command that predicts. ``input-dir`` names all files ``*.json`` of a folder, in
        the order of their names; a file of AlphaFold Server jobs stands for all its jobs, unless
        ``job`` chooses one.

    Returns
    -------
    list of dict
        Options of one input each. Jobs of a file are named by their numbers, ``#1``, ``#2``, ....

    Raises
    ------
    UserError
        The folder or a file cannot be read, or the folder has no input.
    """
    rest = {name: value for name, value in options.items() if name not in (INPUT_DIR, "input")}
    if INPUT_DIR in options:
        for key in ("input", "size", *INPUT_OPTIONS):
            if key in options:
                raise UserError(f"--{INPUT_DIR} and --{key} exclude each other: give one of them")
        files = inputs_in(Path(str(options[INPUT_DIR])))
    elif "input" in options and not {"job", "size"} & options.keys():
        files = [Path(str(options["input"]))]
    else:
        return [options]
    found: list[Options] = []
    for file in files:
        one = {**rest, "input": str(file)}
        jobs = jobs_in(file)
        found += [{**one, "job": f"#{n}"} for n in range(1, jobs + 1)] if jobs > 1 else [one]
    return found


def inputs_in(folder: Path) -> list[Path]:
    """Return the files ``*.json`` directly in a folder, in the order of their names.

    Raises
    ------
    UserError
        It is no folder, cannot be listed, or has no such file.
    """
    if not folder.is_dir():
        raise UserError(f"--{INPUT_DIR} takes a folder, and {folder} is none")
    try:
        files = sorted(path for path in folder.glob("*.json") if path.is_file())
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be listed ({error.strerror})") from error
    if not files:
        raise UserError(
            f"the folder {folder} has no input: --{INPUT_DIR} reads the files *.json in it"
        )
    return files


def with_seeds(fold_input: Input, number: int) -> Input:
    """Return an input with seeds counted up from its only one, as ``--num_seeds`` of upstream does.

    Parameters
    ----------
    fold_input
        An input with a single seed.
    number
        Number of seeds.

    Raises
    ------
    UserError
        The input has several seeds, or there are not that many seeds.
    """
    seeds = fold_input.rng_seeds
    if not 1 <= number <= MOST_SEEDS:
        raise UserError(f"--{NUM_SEEDS} takes 1 to {MOST_SEEDS:,} seeds, not {number}")
    if len(seeds) > 1:
        raise UserError(
            f"--{NUM_SEEDS} counts up from a single seed, but the input {fold_input.name!r} names "
            f"{len(seeds)}: leave it out, or give the input one seed"
        )
    if seeds[0] + number - 1 > LARGEST_SEED:
        raise UserError(
            f"--{NUM_SEEDS} {number} counts up from seed {seeds[0]} beyond {LARGEST_SEED}, the "
            "largest seed of AlphaFold 3"
        )
    return dataclasses.replace(fold_input, rng_seeds=tuple(range(seeds[0], seeds[0] + number)))
