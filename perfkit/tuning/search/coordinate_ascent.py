"""Coordinate ascent: one change at a time on top of the best configuration so far.

Knobs interact (a flag that helps float32 can harm bfloat16), and a pass of the incumbent is often
several times shorter than a pass of stock. Each change is therefore tried on the incumbent.
Screening chooses a finalist, and only confirmation against stock in fresh processes can recommend
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.stats.exact import next_look
from perfkit.stats.interval import Interval
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.screening import (
    ROUNDS_LEAST,
    ROUNDS_MOST,
    WORTH_TRYING,
    ScreeningRules,
    Standing,
    mean_gain,
    standing,
)
from perfkit.tuning.search.strategy import (
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
"""Number of candidates that start side by side: while one is traced, the other compiles."""

SURE_ROUNDS = 4
"""Least number of rounds that can establish a small gain; screenings are planned with it."""

SMALL_GAIN = 1.10
"""Ratio in screening below which a gain counts as small: few blocks seldom confirm it."""

LIKELY_LOOK = 12
"""Number of confirmation blocks that time is reserved for where screening showed a small gain."""

BLOCKS_MOST = 24
"""Most confirmation blocks of a finalist, which then stays undecided."""

SETTLED_WIDTH = 0.08
"""Relative width of the interval of a confirmed ratio below which it is known well enough."""


@dataclass(frozen=True)
class Climb:
    """The state of the ascent.

    Attributes
    ----------
    path
        Stock and all incumbents, the present one last.
    promising
        Changes that won once and have to win again, on the incumbent and in fresh processes.
    untried
        Changes that were not measured on any incumbent, most promising first.
    undecided
        Changes that have neither won nor lost, the largest gain first.
    """

    path: tuple[Configuration, ...]
    promising: tuple[Change, ...]
    untried: tuple[Change, ...]
    undecided: tuple[Change, ...]

    @property
    def best(self) -> Configuration:
        """The incumbent."""
        return self.path[-1]


class CoordinateAscent(ScreeningRules):
    """Screens changes on the incumbent and confirms the result against stock."""

    name = "coordinate-ascent"

    def decide(self, evidence: Evidence, space: SearchSpace, budget: Budget) -> Decision:
        """Screen as long as there is time to confirm the result, then confirm."""
        if evidence.failed(STOCK.digest):
            reason = "stock failed in its last trials, so that nothing can be compared; run the "
            return Stop((reason + "same command to try again",), final=False)
        climb = climb_of(evidence, space)
        finalists = _finalists(evidence, climb, space)
        screening = _next_screening(evidence, climb, finalists, space, budget)
        confirmation = _next_confirmation(evidence, finalists, budget)
        # A confirmation that has begun continues to its first interval before any other step.
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

    Each step takes the change with the largest gain of those that won on the incumbent. A change
    that was measured together with a better one is measured again on top of that one, and its
    earlier measurements count.
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
        standing_now, gain = _standing_of(evidence, path, change, space)
        sorted_in[standing_now].append((gain, change))
    undecided = sorted(sorted_in[Standing.UNDECIDED], key=lambda pair: -pair[0])
    # A winner that is not the incumbent was measured on an earlier one, but not yet on this one.
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
    """The winner with the largest gain on the last configuration of ``path``."""
    won: dict[Configuration, float] = {}
    for change in space.changes:
        candidate = space.changed(path[-1], change)
        standing_now, gain = _standing_of(evidence, path, change, space)
        measured = evidence.screened(path[-1].digest, candidate.digest)
        if candidate not in path and measured and standing_now is Standing.WON:
            won[candidate] = gain
    return max(won, key=lambda candidate: (won[candidate], candidate.digest), default=None)


def _standing_of(
    evidence: Evidence, path: Sequence[Configuration], change: Change, space: SearchSpace
) -> tuple[Standing, float]:
    """The standing of a change and its mean gain, over all incumbents that it was measured on."""
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
    """Whether confirmation showed that a finalist is not faster, or ended undecided."""
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
    """The next screening for which there is time, confirmation included, or None.

    Changes that have to repeat a win come first, then untried ones, then undecided ones.
    """
    base, costs = climb.best, budget.costs
    fresh = bool(climb.promising) or not climb.untried
    chosen = climb.promising or climb.untried or climb.undecided
    if chosen and len(chosen[0]) > 1:
        # A step of several settings is expected to win, and to become the base of the next ones.
        chosen = chosen[:1]
    candidates = tuple(space.changed(base, change) for change in chosen[:BATCH])
    while candidates:
        spare_s = budget.remaining_s - costs.screening_s(base, candidates, SURE_ROUNDS)
        if finalists:
            # Without a finalist there is no confirmation to reserve time for.
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
    """Number of rounds that takes about as long as starting the processes."""
    start_s = costs.screening_s(base, candidates, 0)
    rounds = round(start_s / max(1e-9, _round_s(base, candidates, costs)))
    return min(ROUNDS_MOST, max(ROUNDS_LEAST, rounds))


def _round_s(base: Configuration, candidates: Sequence[Configuration], costs: Costs) -> float:
    return sum(costs.pass_s(configuration) for configuration in (base, *candidates))


def _first_of_all(
    base: Configuration, candidates: tuple[Configuration, ...], budget: Budget
) -> Screen | None:
    """A screening that may exceed the budget, where otherwise nothing would be tried.

    On a loaded machine all predicted durations are long. A budget that allows one pass of one
    candidate is spent on it; a call with a larger budget uses the measurement.
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
    """Seconds to reserve for the confirmation of the result of a screening, and for its parts."""
    costs = budget.costs
    gain = mean_gain(evidence.screened(STOCK.digest, finalists[0].digest))
    # A small gain is seldom sure at the first look. A change that has not won has to wait.
    least = _look(evidence, finalists[0])
    small = climb.best != STOCK and 0.0 < gain < SMALL_GAIN
    wanted = max(least, LIKELY_LOOK) if small else least
    done = _blocks(evidence, finalists[0])
    if done >= wanted:
        # The finalist is confirmed, and a better one would need a confirmation of its own.
        finalists, done = (candidate,), 0
        least = wanted = _look(evidence, candidate)
    block_s = costs.block_s(finalists, costs.passes_in_block(finalists))
    parts_s = costs.parts_s((STOCK, *finalists))
    if done < least and (wanted - done) * block_s + parts_s > budget.remaining_s:
        wanted = least
    return max(0, wanted - done) * block_s + parts_s


def _finalists(evidence: Evidence, climb: Climb, space: SearchSpace) -> tuple[Configuration, ...]:
    """The configurations to confirm: the incumbent, or the largest gain where nothing won.

    An earlier incumbent that is confirmed already is measured again with the present one, so that
    the two can be compared directly.
    """
    if climb.best != STOCK:
        earlier = [
            configuration
            for configuration in climb.path[1:-1]
            if _blocks(evidence, configuration) >= _look(evidence, configuration)
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
    return (max(leaning, key=lambda candidate: (leaning[candidate], candidate.digest)),)


def _next_confirmation(
    evidence: Evidence, finalists: tuple[Configuration, ...], budget: Budget
) -> Confirm | None:
    """The next confirmation block, or None where none is needed or there is no time for it."""
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
    # The interval is computed at certain numbers of blocks only (looks). After the first look, all
    # blocks up to the next one have to fit. Before it, every block that fits is taken, because a
    # call with a larger budget continues from there.
    least = _look(evidence, finalists[0])
    needed = 1 if blocks < least else to_look
    kept_s = 0.0
    if blocks >= least:
        kept_s = budget.costs.parts_s((STOCK, *finalists))
    if needed == 0 or needed * block_s + kept_s > budget.remaining_s:
        return None
    return Confirm(finalists, passes)


def _is_settled(ratio: Interval) -> bool:
    """Whether a confirmed ratio needs no further blocks."""
    if ratio.ends is None or not ratio.excludes(1.0):
        return False
    low, high = ratio.ends
    return (high - low) / ratio.median < SETTLED_WIDTH or ratio.surely_below(1.0)


def _look(evidence: Evidence, configuration: Configuration) -> int:
    """Number of confirmation blocks before the first interval of a finalist."""
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
    """One sentence for each step that there was no time for."""
    reasons = []
    left = seconds_text(max(0.0, budget.remaining_s))
    if climb.untried:
        needed_s = budget.costs.screening_s(climb.best, (climb.best,), SURE_ROUNDS)
        names = ", ".join(change_text(change) for change in climb.untried)
        reasons.append(
            f"not tried, because the budget is too short: {names} (screening takes about "
            f"{seconds_text(needed_s)} each, a winner has to be confirmed, and {left} remain); "
            "run again with a larger --budget to continue"
        )
    disturbed = [
        candidate
        for change in space.changes
        if evidence.disturbed((candidate := space.changed(climb.best, change)).digest)
    ]
    reasons += [
        f"every pass of {candidate.label} was disturbed by other programs on this machine"
        for candidate in dict.fromkeys(disturbed)
    ]
    for finalist in finalists:
        least = _look(evidence, finalist)
        missing = least - _blocks(evidence, finalist)
        if missing > 0:
            block_s = budget.costs.block_s((finalist,), budget.costs.passes_in_block((finalist,)))
            reasons.append(
                f"{finalist.label} is not confirmed: {missing} of {least} blocks are missing, "
                f"about {seconds_text(missing * block_s)}; run again with a larger --budget to "
                "continue"
            )
    return tuple(reasons)
