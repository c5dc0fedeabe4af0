"""What of this process's surroundings changes what a trial does or how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.environment import environment_sentences, left_out_variables, passed_on_variables
from perfkit.records.machine import restrictions_here
from perfkit.trial.conditions.neighbours import neighbours, neighbours_sentence


@dataclass(frozen=True)
class Surroundings:
    """What a record keeps of them.

    Parameters
    ----------
    left_out, passed_on
        Variables that are set here and do not reach the trial, and those that do and decide which
        code it runs.
    restrictions
        Limits of this process that the trial inherits.
    notices
        What a person should know of both, in sentences.
    """

    left_out: dict[str, str]
    passed_on: dict[str, str]
    restrictions: dict[str, float | int | str]
    notices: tuple[str, ...]


def surroundings(configuration: Configuration) -> Surroundings:
    """The surroundings of a trial of ``configuration``, as they are now."""
    restrictions, sentences = restrictions_here()
    return Surroundings(
        left_out=left_out_variables(configuration),
        passed_on=passed_on_variables(),
        restrictions=restrictions,
        notices=(*sentences, *environment_sentences(configuration)),
    )


def sentences_before_measuring() -> list[str]:
    """What is said once, before the first trial: limits, variables, other perfkits."""
    other = neighbours_sentence(neighbours())
    return [*surroundings(STOCK).notices, *([] if other is None else [other])]
