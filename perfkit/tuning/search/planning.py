"""The size of a screening: as many candidates and rounds as the budget allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.screening import ROUNDS_LEAST, ROUNDS_MOST
from perfkit.tuning.search.strategy import Budget, Change, Costs, Screen, change_text
from perfkit.units import seconds_text

BATCH = 2
"""Number of candidates that start side by side, in a process each: while one is traced, the other
compiles."""

SHARED_BATCH = 4
"""Number of candidates of a screening in shared processes. Each adds a compilation and its passes;
the start, the input and the passes of the base are common to all."""

LASTING_BATCH = 8
"""The same for a base that has lasted through a whole screening, so that the next candidates seldom
become the base of others: the passes of the base are common to twice as many."""

SURE_ROUNDS = 4
"""Least number of rounds that can show a small gain of one process over another; screenings are
planned with it."""

LAST_ROUNDS = 3
"""Number of rounds that the last screenings are planned with: enough to show that a program has no
more than a small gain over another in its process."""

SHARED_SURE_ROUNDS = 6
"""Least number of rounds that can establish a small gain of one program over another in a shared
process, see :data:`perfkit.tuning.search.screening.BUILDING_ERROR`."""


def batch(budget: Budget) -> int:
    """Most candidates of a screening; with several workers, at least one for each of them."""
    return max(budget.workers, SHARED_BATCH if budget.shared else BATCH)


def sure_rounds(budget: Budget) -> int:
    """Number of rounds that a screening is planned with."""
    return SHARED_SURE_ROUNDS if budget.shared else SURE_ROUNDS


def plan_screening(
    base: Configuration,
    candidates: Sequence[Configuration],
    evidence: Evidence,
    budget: Budget,
    reserve_s: float,
    *,
    fresh: bool = False,
    first: bool = False,
    rounds: int | None = None,
) -> Screen | None:
    """The screening of as many of the candidates as there is time for, or None.

    Parameters
    ----------
    base
        The incumbent.
    candidates
        Candidates, most promising first; those after the first :func:`batch`, or
        :data:`LASTING_BATCH`, have to wait. A candidate that crashed together with others is
        screened alone: it may be the cause.
    evidence
        Evidence of the study.
    budget
        Budget of the study.
    reserve_s
        Seconds to keep for the confirmation of the result.
    fresh
        Whether the base needs a new process.
    first
        Whether nothing has been tried yet. One candidate may then exceed the prediction: on a
        loaded machine all predicted durations are long, and a call with a larger budget uses the
        measurement.
    rounds
        Number of rounds that there has to be time for; by default enough to establish a small gain.
    """
    suspects = [one for one in candidates if evidence.crashed_with_others(one.digest)]
    if suspects and candidates[0] == suspects[0]:
        candidates = candidates[:1]
    elif suspects:
        candidates = [one for one in candidates if one not in suspects]
    most = batch(budget)
    if budget.shared and _compared(evidence, base) >= SHARED_BATCH:
        most = max(most, LASTING_BATCH)
    chosen = tuple(candidates[:most])
    sure = sure_rounds(budget) if rounds is None else rounds
    while chosen:
        # Workers screen at the same time, so that only the candidates of one of them take time.
        timed = chosen[: budget.turns(len(chosen))]
        spare_s = budget.remaining_s - budget.costs.screening_s(base, timed, sure) - reserve_s
        if spare_s >= 0:
            usual = _rounds_most(base, timed, budget.costs)
            possible = sure + int(spare_s / max(1e-9, _round_s(base, timed, budget.costs)))
            return Screen(base, chosen, min(usual, possible), fresh)
        if first and len(chosen) == 1:
            fits = budget.costs.screening_s(base, chosen, 1) <= budget.remaining_s
            return Screen(base, chosen, sure) if fits else None
        chosen = chosen[:-1]
    return None


def last_screening(
    base: Configuration,
    untried: Sequence[Configuration],
    finalists: Sequence[Configuration],
    evidence: Evidence,
    budget: Budget,
) -> Screen | None:
    """A screening of untried changes, where the rest of the budget is too short for anything else.

    A winner cannot be confirmed any more, but what was measured is known to a call with a larger
    budget. The time for the parts of what is recommended is kept.
    """
    kept_s = budget.costs.parts_s((STOCK, *finalists))
    return plan_screening(base, untried, evidence, budget, kept_s, rounds=LAST_ROUNDS)


def untried_text(base: Configuration, changes: Sequence[Change], budget: Budget) -> str:
    """The sentence on changes that there is no time to try on ``base``."""
    needed_s = budget.costs.screening_s(base, (base,), sure_rounds(budget))
    names = ", ".join(change_text(change) for change in changes)
    left = seconds_text(max(0.0, budget.remaining_s))
    return (
        f"not tried, because the budget is too short: {names} (screening takes about "
        f"{seconds_text(needed_s)} each, a winner has to be confirmed, and {left} remain); "
        "run again with a larger --budget to continue"
    )


def disturbed_texts(evidence: Evidence, candidates: Iterable[Configuration]) -> list[str]:
    """One sentence for each candidate whose passes were all disturbed."""
    return [
        f"every pass of {candidate.label} was disturbed by other programs on this machine"
        for candidate in dict.fromkeys(candidates)
        if evidence.disturbed(candidate.digest)
    ]


def _compared(evidence: Evidence, base: Configuration) -> int:
    """Number of comparisons of a base with others."""
    return sum(
        base.digest in (pair.first.digest, pair.second.digest) for pair in evidence.comparisons
    )


def _rounds_most(base: Configuration, candidates: Sequence[Configuration], costs: Costs) -> int:
    """Number of rounds that takes about as long as starting the processes."""
    start_s = costs.screening_s(base, candidates, 0)
    rounds = round(start_s / max(1e-9, _round_s(base, candidates, costs)))
    return min(ROUNDS_MOST, max(ROUNDS_LEAST, rounds))


def _round_s(base: Configuration, candidates: Sequence[Configuration], costs: Costs) -> float:
    """Seconds of a further round. Screening may run another depth than confirmation does."""
    return costs.screening_s(base, candidates, 1) - costs.screening_s(base, candidates, 0)
