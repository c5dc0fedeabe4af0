"""What a trial inherits from the process that starts it: environment variables and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.knobs.environment import environment_sentences, left_out_variables, passed_on_variables
from perfkit.records.machine import restrictions_here
from perfkit.records.power import power_sentences
from perfkit.records.restrictions import Restrictions
from perfkit.trial.conditions.jaxlib_standing import standing_notices
from perfkit.trial.conditions.neighbours import Neighbour, neighbours, neighbours_sentence


@dataclass(frozen=True)
class Inherited:
    """Variables and limits of this process that matter to a trial.

    Attributes
    ----------
    left_out
        Variables that are set here and do not reach the trial.
    passed_on
        Variables that reach the trial and decide which code it runs.
    restrictions
        Limits of this process that the trial inherits.
    notices
        Sentences on the above for the user.
    faults
        Sentences on the jaxlib that the trial runs on, see
        :mod:`perfkit.trial.conditions.jaxlib_standing`.
    """

    left_out: dict[str, str]
    passed_on: dict[str, str]
    restrictions: Restrictions
    notices: tuple[str, ...]
    faults: tuple[str, ...] = ()


def inherited_by(configuration: Configuration, build: str | None = None) -> Inherited:
    """What a trial inherits if it is started now.

    Parameters
    ----------
    configuration
        Configuration of the trial.
    build
        Build of jaxlib that the trial runs on; the installed one by default.
    """
    restrictions, sentences = restrictions_here()
    return Inherited(
        left_out=left_out_variables(configuration),
        passed_on=passed_on_variables(),
        restrictions=restrictions,
        notices=(*sentences, *power_sentences(), *environment_sentences(configuration)),
        faults=standing_notices(configuration.environment().get("XLA_FLAGS", ""), build),
    )


def sentences_before_measuring(
    inherited: Inherited | None = None, found: Sequence[Neighbour] | None = None
) -> list[str]:
    """Warnings to show before the first trial: limits, variables, other perfkit processes.

    Parameters
    ----------
    inherited
        What trials inherit; by default what a stock trial inherits now.
    found
        Other perfkit processes that measure; by default those on this machine now.
    """
    notices = (inherited_by(STOCK) if inherited is None else inherited).notices
    warning = neighbours_sentence(neighbours() if found is None else found)
    return [*notices, *([] if warning is None else [warning])]
