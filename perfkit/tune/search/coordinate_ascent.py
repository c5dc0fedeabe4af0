"""Search by coordinate ascent: one change at a time on top of the best configuration so far.

Knobs interact (a flag that helps float32 can harm bfloat16), and a pass of the incumbent is often
several times shorter than one of stock: each change is therefore tried where it would be used.
Screening chooses; what it chose is confirmed against stock in fresh processes, and only that
confirmation can recommend it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.stats.exact import next_look
from perfkit.stats.interval import Interval
from perfkit.tune.search.evidence import Evidence
from perfkit.tune.search.screening import (
    ROUNDS_LEAST,
    ROUNDS_MOST,
    WORTH_TRYING,
    Standing,
    mean_gain,
    standing,
)
from perfkit.tune.search.strategy import (
    Budget,
    Change,
    Confirm,
    Costs,
    Decision,
    Screen,
    SearchSpace,
    Stop,
    change_text,
)
from perfkit.units import seconds_text

BATCH = 2
"""Candidates that start side by side: while one is traced the other compiles."""

SURE_ROUNDS = 4
"""Rounds that a small gain takes to be believed; what a screening is planned with."""

LIKELY_LOOK = 12
SMALL_GAIN = 1.10
"""Blocks that time is kept for where the gain that screening saw is small."""

BLOCKS_MOST = 24
"""Confirmation blocks after which a finalist stays undecided."""

SETTLED_WIDTH = 0.08
"""A confirmed ratio is known well enough when its interval is narrower than this share of it."""


@dataclass(frozen=True)
class Climb:
    """Where the evidence so far leads.

    Attributes
    ----------
    path
        Stock and every configuration that was the incumbent, the present one last.
    promising
        Changes that won once and have to win again, on the incumbent and in fresh processes.
    untried
        Changes that were not measured on any incumbent, most promising first.
    undecided
        Changes that neither won nor lost yet, the largest gain first.
    """

    path: tuple[Configuration, ...]
    promising: tuple[Change, ...]
    untried: tuple[Change, ...]
    undecided: tuple[Change, ...]

    @property
    def best(self) -> Configuration:
        """The incumbent."""
        return self.path[-1]


class CoordinateAscent:
    """The default strategy; see :class:`perfkit.tune.search.strategy.Strategy`."""

    name = "coordinate-ascent"

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """Screen while there is time to confirm what comes of it, then confirm."""
        if evidence.failed(STOCK.digest):
            reason = "stock failed in its last trials, so that nothing can be compared; the same "
            return Stop((reason + "command tries again",), final=False)
        climb = climb_of(evidence, space)
        finalists = _finalists(evidence, climb, space)
        screening = _next_screening(evidence, climb, finalists, space, budget)
        confirmation = _next_confirmation(evidence, finalists, budget)
        # A confirmation that was begun goes on to its first interval before anything else.
        begun = bool(finalists) and 0 < _blocks(evidence, finalists[0]) < _look(
            evidence, finalists[0]
        )
        if begun and confirmation is not None:
            return confirmation
        if screening is not None:
            return screening
        return confirmation or Stop(_undone(evidence, climb, finalists, space, budget))


def climb_of(evidence: Evidence, space: SearchSpace) -> Climb:
    """Replay the ascent on the evidence.

    At each step the change with the largest gain of those that won on the incumbent is taken. A
    change that was measured beside a better one is measured again on top of that one, and what
    was seen of it before counts.
    """
    path = [STOCK]
    while (better := _winner(evidence, path, space)) is not None:
        path.append(better)
    sorted_in: dict[Standing, list[tuple[float, Change]]] = {each: [] for each in Standing}
    seen = set(path)
    for change in space.changes:
        candidate = space.changed(path[-1], change)
        if candidate in seen:
            continue
        seen.add(candidate)
        place, gain = _place(evidence, path, change, space)
        sorted_in[place].append((gain, change))
    undecided = sorted(sorted_in[Standing.UNDECIDED], key=lambda one: -one[0])
    # A winner that is no incumbent was measured before the present one, and not yet on it.
    promising = [*sorted_in[Standing.WON], *sorted_in[Standing.PROMISING]]
    return Climb(
        path=tuple(path),
        promising=tuple(change for _, change in promising),
        untried=tuple(change for _, change in sorted_in[Standing.UNTRIED]),
        undecided=tuple(change for _, change in undecided),
    )


def _winner(
    evidence: Evidence, path: Sequence[Configuration], space: SearchSpace
) -> Configuration | None:
    """The candidate on the last of ``path`` with the largest gain of those that won."""
    won: dict[Configuration, float] = {}
    for change in space.changes:
        candidate = space.changed(path[-1], change)
        place, gain = _place(evidence, path, change, space)
        measured = evidence.screened(path[-1].digest, candidate.digest)
        if candidate not in path and measured and place is Standing.WON:
            won[candidate] = gain
    return max(won, key=lambda one: (won[one], one.digest), default=None)


def _place(
    evidence: Evidence, path: Sequence[Configuration], change: Change, space: SearchSpace
) -> tuple[Standing, float]:
    """Where a change stands, and its mean gain, over all incumbents that it was measured on."""
    groups: list[list[float]] = []
    for base in path:
        candidate = space.changed(base, change)
        if candidate == base:
            continue
        if evidence.failed(candidate.digest) or _refuted(evidence, candidate):
            return Standing.LOST, 0.0
        groups += evidence.screened(base.digest, candidate.digest)
    return standing(groups), mean_gain(groups)


def _refuted(evidence: Evidence, candidate: Configuration) -> bool:
    """Whether confirmation says that a finalist is no faster, or cannot say so by the end."""
    ratio = evidence.confirmation(STOCK.digest, candidate.digest)
    if ratio is None or ratio.surely_above(1.0):
        return False
    return ratio.surely_below(1.0) or ratio.count >= BLOCKS_MOST


def _next_screening(
    evidence: Evidence,
    climb: Climb,
    finalists: Sequence[Configuration],
    space: SearchSpace,
    budget: Budget,
) -> Screen | None:
    """The next candidates that there is time to screen and to confirm, None without any.

    First what has to repeat a win, then what was never tried, then what stayed undecided.
    """
    base, costs = climb.best, budget.costs
    fresh = bool(climb.promising) or not climb.untried
    chosen = climb.promising or climb.untried or climb.undecided
    if chosen and len(chosen[0]) > 1:
        # Several changes in one step are expected to win, and to be the base of what follows.
        chosen = chosen[:1]
    candidates = tuple(space.changed(base, change) for change in chosen[:BATCH])
    while candidates:
        spare_s = budget.remaining_s - costs.screening_s(base, candidates, SURE_ROUNDS)
        if finalists:
            # Until something is worth confirming there is nothing to keep time for.
            spare_s -= _reserve_s(evidence, climb, candidates[0], finalists, budget)
        if spare_s >= 0:
            rounds = min(
                _rounds_most(base, candidates, costs),
                SURE_ROUNDS + int(spare_s / max(1e-9, _round_s(base, candidates, costs))),
            )
            return Screen(base, candidates, rounds, fresh)
        if len(candidates) == 1 and climb.untried == space.changes:
            return _first_of_all(base, candidates, budget)
        candidates = candidates[:-1]
    return None


def _rounds_most(base: Configuration, candidates: Sequence[Configuration], costs: Costs) -> int:
    """Rounds that take about as long as starting the processes that they compare."""
    start_s = costs.screening_s(base, candidates, 0)
    rounds = round(start_s / max(1e-9, _round_s(base, candidates, costs)))
    return min(ROUNDS_MOST, max(ROUNDS_LEAST, rounds))


def _round_s(base: Configuration, candidates: Sequence[Configuration], costs: Costs) -> float:
    return sum(costs.pass_s(one) for one in (base, *candidates))


def _first_of_all(
    base: Configuration, candidates: tuple[Configuration, ...], budget: Budget
) -> Screen | None:
    """A screening that may be too long for the budget, where otherwise nothing would be tried.

    On a loaded machine all predictions are long. A budget that allows one pass of one candidate
    is used for it: what is measured is kept for a call with a larger budget.
    """
    fits = budget.costs.screening_s(base, candidates, 1) <= budget.remaining_s
    return Screen(base, candidates, SURE_ROUNDS) if fits else None


def _reserve_s(
    evidence: Evidence,
    climb: Climb,
    candidate: Configuration,
    finalists: Sequence[Configuration],
    budget: Budget,
) -> float:
    """Seconds to keep for the confirmation of what screening finds, and for its parts."""
    costs = budget.costs
    gain = mean_gain(evidence.screened(STOCK.digest, finalists[0].digest))
    # A small gain is seldom sure at the first look; what has not even won waits for the others.
    least = _look(evidence, finalists[0])
    small = climb.best != STOCK and 0.0 < gain < SMALL_GAIN
    wanted = max(least, LIKELY_LOOK) if small else least
    done = _blocks(evidence, finalists[0])
    if done >= wanted:
        # The finalist is confirmed: a better one would have to be confirmed anew.
        finalists, done = (candidate,), 0
        least = wanted = _look(evidence, candidate)
    block_s = costs.block_s(finalists, costs.passes_in_block(finalists))
    parts_s = costs.parts_s((STOCK, *finalists))
    if done < least and (wanted - done) * block_s + parts_s > budget.remaining_s:
        wanted = least
    return max(0, wanted - done) * block_s + parts_s


def _finalists(evidence: Evidence, climb: Climb, space: SearchSpace) -> tuple[Configuration, ...]:
    """What is to be confirmed: the incumbent, or where nothing won what came nearest to it.

    An incumbent before it that is confirmed already is measured again with it, so that the two
    can be compared directly.
    """
    if climb.best != STOCK:
        earlier = [
            one for one in climb.path[1:-1] if _blocks(evidence, one) >= _look(evidence, one)
        ]
        return (climb.best, *earlier[-1:])
    leaning = {
        candidate: gain
        for change in space.changes
        if (candidate := space.changed(STOCK, change)) != STOCK
        and not evidence.failed(candidate.digest)
        and not _refuted(evidence, candidate)
        and (gain := mean_gain(evidence.screened(STOCK.digest, candidate.digest))) > WORTH_TRYING
    }
    if not leaning:
        return ()
    return (max(leaning, key=lambda one: (leaning[one], one.digest)),)


def _next_confirmation(
    evidence: Evidence, finalists: tuple[Configuration, ...], budget: Budget
) -> Confirm | None:
    """The next confirmation block, None where nothing is left to confirm or no time for it."""
    if not finalists:
        return None
    blocks = _blocks(evidence, finalists[0])
    ratio = evidence.confirmation(STOCK.digest, finalists[0].digest)
    if ratio is not None and (_is_settled(ratio) or blocks >= BLOCKS_MOST):
        return None
    passes = budget.costs.passes_in_block(finalists)
    block_s = budget.costs.block_s(finalists, passes)
    look = next_look(blocks)
    to_look = 0 if look is None else look - blocks
    # Blocks between two looks say nothing: after the first look all of them have to fit. Before
    # it every block is taken that fits, because a call with a larger budget goes on from there.
    least = _look(evidence, finalists[0])
    needed = 1 if blocks < least else to_look
    kept_s = 0.0
    if blocks >= least:
        kept_s = budget.costs.parts_s((STOCK, *finalists))
    if needed == 0 or needed * block_s + kept_s > budget.remaining_s:
        return None
    return Confirm(finalists, passes)


def _is_settled(ratio: Interval) -> bool:
    """Whether a confirmed ratio is known well enough."""
    if ratio.ends is None or not ratio.excludes(1.0):
        return False
    low, high = ratio.ends
    return (high - low) / ratio.median < SETTLED_WIDTH or ratio.surely_below(1.0)


def _look(evidence: Evidence, configuration: Configuration) -> int:
    """Confirmation blocks of a finalist before there is an interval at all."""
    return evidence.first_look(configuration.digest)


def _blocks(evidence: Evidence, configuration: Configuration) -> int:
    return len(evidence.confirmed(STOCK.digest, configuration.digest))


def _undone(
    evidence: Evidence,
    climb: Climb,
    finalists: Sequence[Configuration],
    space: SearchSpace,
    budget: Budget,
) -> tuple[str, ...]:
    """Sentences on what there was no time for."""
    reasons = []
    left = seconds_text(max(0.0, budget.remaining_s))
    if climb.untried:
        needed_s = budget.costs.screening_s(climb.best, (climb.best,), SURE_ROUNDS)
        names = ", ".join(change_text(change) for change in climb.untried)
        reasons.append(
            f"not tried, because the budget is too short: {names} (screening takes about "
            f"{seconds_text(needed_s)} for each, a winner has to be confirmed, and {left} remain); "
            "a larger --budget goes on from here"
        )
    held_up = [
        one
        for change in space.changes
        if evidence.held_up((one := space.changed(climb.best, change)).digest)
    ]
    reasons += [
        f"every pass of {one.label} was held up by something else on this machine"
        for one in dict.fromkeys(held_up)
    ]
    for one in finalists:
        least = _look(evidence, one)
        missing = least - _blocks(evidence, one)
        if missing > 0:
            block_s = budget.costs.block_s((one,), budget.costs.passes_in_block((one,)))
            reasons.append(
                f"{one.label} is not confirmed: {missing} of {least} blocks are missing, about "
                f"{seconds_text(missing * block_s)}; a larger --budget goes on from here"
            )
    return tuple(reasons)
