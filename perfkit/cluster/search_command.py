"""The lab's own command for genetic searches, as tasks of a Slurm array run it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perfkit.capacity.queue.plan import PlannedJob
from perfkit.errors import UserError
from perfkit.units import cut

INPUT, OUTPUT, CPUS = "{input}", "{output}", "{cpus}"
"""Places in the command: the fold input, the fold input with alignments that the prediction reads,
and the CPUs of the task. The paths are absolute, so that none begins with a dash."""

NEEDED = (INPUT, OUTPUT)


@dataclass(frozen=True)
class SearchCommand:
    """A command with places.

    Attributes
    ----------
    template
        Words with places, which no shell interprets.
    """

    template: tuple[str, ...]

    def words(self, each: PlannedJob, options: Mapping[str, str], output: Path) -> list[str]:
        """Return the words of the search of a job.

        Parameters
        ----------
        each
            The planned job.
        options
            Options of ``perfkit run`` that describe its input.
        output
            File that the search writes.

        Raises
        ------
        UserError
            The job is only a size, or one of several in a file.
        """
        if set(options) != {"input"}:
            raise UserError(
                f"the job {cut(each.job.name)!r} has no fold input of its own for --msa-command: "
                "give it a file or a sequence"
            )
        cpus = "1" if each.search is None else str(each.search.search.cpus)
        places = {INPUT: options["input"], OUTPUT: str(output), CPUS: cpus}
        return [_filled(word, places) for word in self.template]


def parse_search_command(text: str) -> SearchCommand:
    """Parse a command as a shell would split it, without interpreting anything else.

    Raises
    ------
    UserError
        A quote is not closed, or a place is missing.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"--msa-command is not a command: {error}".lower()) from error
    missing = [place for place in NEEDED if not any(place in word for word in words)]
    if missing:
        raise UserError(
            f"--msa-command needs {' and '.join(NEEDED)}: the fold input of the job, and the file "
            f"with alignments to write; {missing[0]} is missing"
        )
    return SearchCommand(words)


def search_output(folder: Path, name: str) -> Path:
    """Return the file that the search of a job writes, below the folder of the scripts."""
    return folder / "msa" / f"{name}.json"


def _filled(word: str, places: Mapping[str, str]) -> str:
    """Fill places in from left to right, so that a name that holds a place stays as it is."""
    found, rest = "", word
    while rest:
        place = next((place for place in places if rest.startswith(place)), None)
        found += rest[0] if place is None else places[place]
        rest = rest[1:] if place is None else rest[len(place) :]
    return found
