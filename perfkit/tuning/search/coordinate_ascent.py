"""Coordinate ascent: one change at a time on top of the best configuration so far.

Knobs interact (a flag that helps float32 can harm bfloat16), and a pass of the incumbent is often
several times shorter than a pass of stock. Each change is therefore tried on the incumbent. Those
that look a little faster are then tried together: gains that are too small to be sure of add up.
Screening chooses a finalist, and only confirmation against stock in fresh processes can recommend
it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.tuning.search.confirmation import (
    STOCK_FAILED,
    has_begun,
    is_refuted,
    next_confirmation,
    reserve_s,
    unconfirmed,
    with_last_confirmed,
)
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.planning import (
    disturbed_texts,
    last_screening,
    plan_screening,
    untried_text,
)
from perfkit.tuning.search.processes import Pair
from perfkit.tuning.search.screening import (
    BEYOND_LAYOUT,
    WORTH_TRYING,
    ScreeningRules,
    Standing,
    mean_gain,
    standing_of,
)
from perfkit.tuning.search.strategy import (
    Budget,
    Change,
    Decision,
    Screen,
    SearchSpace,
    Stop,
)

OTHER_BASE = 1.1
"""Gain of the incumbent since a change lost, above which the change is tried again. What slows one
program down may speed up another: GenCast's larger blocks of nodes lose with the operations of XLA
and win with native kernels."""


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
    outdated
        Changes that lost on a much slower incumbent, most promising first.
    combination
        All changes with a gain too small to be sure of, as one; empty as long as there are others
        to try, where there are less than two, and where they lost together on the incumbent.
    """

    path: tuple[Configuration, ...]
    promising: tuple[Change, ...]
    untried: tuple[Change, ...]
    undecided: tuple[Change, ...]
    outdated: tuple[Change, ...]
    combination: Change

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
            return STOCK_FAILED
        climb = climb_of(evidence, space)
        finalists = _finalists(evidence, climb, space)
        screening = _next_screening(evidence, climb, finalists, space, budget)
        confirmation = next_confirmation(evidence, finalists, budget)
        # A confirmation that has begun continues to its first interval before any other step.
        if confirmation is not None and has_begun(evidence, finalists):
            return confirmation
        if screening is not None:
            return screening
        if confirmation is not None:
            return confirmation
        untried = [space.changed(climb.best, change) for change in climb.untried]
        return last_screening(climb.best, untried, finalists, evidence, budget) or Stop(
            _undone(evidence, climb, finalists, space, budget)
        )


def climb_of(evidence: Evidence, space: SearchSpace) -> Climb:
    """Replay the ascent on the evidence.

    Each step takes the change, or the combination of changes, with the largest gain of those that
    won on the incumbent. A change that was measured together with a better one is measured again on
    top of that one, and its earlier measurements count.
    """
    path = [STOCK]
    combinations = _measured_combinations(evidence, space)
    while (better := _winner(evidence, path, space, combinations)) is not None:
        path.append(better)
    sorted_in: dict[Standing, list[tuple[float, Change]]] = {each: [] for each in Standing}
    outdated: list[Change] = []
    gaining: list[tuple[float, Change]] = []
    seen = set(path)
    for change in space.changes:
        candidate = space.changed(path[-1], change)
        if candidate in seen:
            continue
        seen.add(candidate)
        standing_now, gain = _standing_of(evidence, path, change, space)
        sorted_in[standing_now].append((gain, change))
        if gain > max(WORTH_TRYING, space.least_gain(path[-1], candidate)):
            gaining.append((gain, change))
        if standing_now is Standing.LOST and _is_outdated(evidence, path, change, space):
            outdated.append(change)
    undecided = sorted(sorted_in[Standing.UNDECIDED], key=lambda pair: -pair[0])
    # A winner that is not the incumbent was measured on an earlier one, but not yet on this one.
    promising = [*sorted_in[Standing.WON], *sorted_in[Standing.PROMISING]]
    # A large gain would carry settings without effect along. It becomes part of the incumbent
    # first, and only what is left is combined.
    together = gaining if not (promising or sorted_in[Standing.UNTRIED]) else []
    return Climb(
        path=tuple(path),
        promising=tuple(change for _, change in promising),
        untried=tuple(change for _, change in sorted_in[Standing.UNTRIED]),
        undecided=tuple(change for _, change in undecided),
        outdated=tuple(outdated),
        combination=_combination(evidence, path, together, space),
    )


def _measured_combinations(evidence: Evidence, space: SearchSpace) -> list[Configuration]:
    """Configurations that were screened, and that the space has."""
    return [
        space.catalogue.configuration(dict(settings))
        for settings in evidence.looked_at.values()
        if space.holds(settings)
    ]


def _combination(
    evidence: Evidence,
    path: Sequence[Configuration],
    gaining: Sequence[tuple[float, Change]],
    space: SearchSpace,
) -> Change:
    """Several changes of the incumbent at once; of two values of a knob, the faster one.

    Empty where a single change does the same, where they lost together on the incumbent, and where
    a screening could not establish what they promise to gain together.
    """
    base = combined = path[-1]
    promised: dict[str, float] = {}
    for gain, change in sorted(gaining, key=lambda pair: pair[0]):
        combined = space.changed(combined, change)
        promised |= {name: gain ** (1 / len(change)) for name, _ in change}
    if math.prod(promised.values()) < BEYOND_LAYOUT:
        return ()
    if combined in path or combined in _single_steps(base, space):
        return ()
    pairs = _screened_together(evidence, base, combined)
    reached, _ = standing_of(pairs, space.least_gain(base, combined))
    if reached is Standing.LOST or evidence.failed(combined.digest):
        return ()
    return tuple(setting for setting in combined.settings if setting not in base.settings)


def _single_steps(base: Configuration, space: SearchSpace) -> set[Configuration]:
    return {space.changed(base, change) for change in space.changes}


def _screened_together(
    evidence: Evidence, base: Configuration, candidate: Configuration
) -> list[Pair]:
    """Pairs of a screening; a confirmation compares stock with finalists, at another depth."""
    pairs = evidence.pairs(base.digest, candidate.digest)
    return [pair for pair in pairs if Role.CONFIRM not in (pair.first.role, pair.second.role)]


def _winner(
    evidence: Evidence,
    path: Sequence[Configuration],
    space: SearchSpace,
    combinations: Sequence[Configuration],
) -> Configuration | None:
    """The winner with the largest gain on the last configuration of ``path``."""
    won: dict[Configuration, float] = {}
    for candidate in set(combinations) - {*path, *_single_steps(path[-1], space)}:
        pairs = _screened_together(evidence, path[-1], candidate)
        standing_now, gain = standing_of(pairs, space.least_gain(path[-1], candidate))
        given_up = evidence.failed(candidate.digest) or is_refuted(evidence, candidate)
        if standing_now is Standing.WON and not given_up:
            won[candidate] = gain
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
    """The standing of a change and its mean gain, over the incumbents that it was measured on.

    Measurements on an incumbent on which it lost do not count if there are later ones.
    """
    least_gain = space.least_gain(STOCK, space.changed(STOCK, change))
    pairs: list[Pair] = []
    for base in path:
        candidate = space.changed(base, change)
        if candidate == base:
            continue
        if evidence.failed(candidate.digest) or is_refuted(evidence, candidate):
            return Standing.LOST, 0.0
        found = evidence.pairs(base.digest, candidate.digest)
        if found and standing_of(pairs, least_gain)[0] is Standing.LOST:
            pairs = []
        pairs += found
    return standing_of(pairs, least_gain)


def _is_outdated(
    evidence: Evidence, path: Sequence[Configuration], change: Change, space: SearchSpace
) -> bool:
    """Whether a change lost on an incumbent that is much slower than the present one.

    A failure or a refutation is never outdated.
    """
    gain, newer = 1.0, path[-1]
    for base in reversed(path):
        if base != newer:
            gain *= mean_gain(evidence.screened(base.digest, newer.digest)) or 1.0
        candidate = space.changed(base, change)
        if evidence.failed(candidate.digest) or is_refuted(evidence, candidate):
            return False
        if evidence.pairs(base.digest, candidate.digest):
            return gain > OTHER_BASE
        newer = base
    return False


def _next_screening(
    evidence: Evidence,
    climb: Climb,
    finalists: Sequence[Configuration],
    space: SearchSpace,
    budget: Budget,
) -> Screen | None:
    """The next screening for which there is time, confirmation included, or None.

    Changes that have to repeat a win come first, then untried ones, undecided ones, and those that
    lost on a much slower incumbent. A combination comes before its members, which are settled if it
    wins. Several workers take all of them in this order: while one repeats a win, the others would
    be idle.
    """
    base = climb.best
    fresh = bool(climb.promising) or not climb.untried
    combinations = (climb.combination,) if climb.combination else ()
    groups = (combinations, climb.promising, climb.untried, climb.undecided, climb.outdated)
    chosen = next(filter(None, groups), ())
    if not chosen:
        return None
    if budget.workers > 1:
        chosen = tuple(dict.fromkeys(itertools.chain(*groups)))
    elif len(chosen[0]) > 1:
        # A step of several settings is expected to win, and to become the base of the next ones.
        chosen = chosen[:1]
    candidates = [space.changed(base, change) for change in chosen]
    kept_s = 0.0
    if finalists:
        # Without a finalist there is no confirmation to reserve time for.
        leads = base != STOCK
        kept_s = reserve_s(evidence, finalists, candidates[0], budget, leads=leads)
    first = climb.untried == space.changes
    return plan_screening(base, candidates, evidence, budget, kept_s, fresh=fresh, first=first)


def _finalists(evidence: Evidence, climb: Climb, space: SearchSpace) -> tuple[Configuration, ...]:
    """The configurations to confirm: the incumbent, or the largest gain where nothing won."""
    if climb.best != STOCK:
        return with_last_confirmed(evidence, climb.path)
    leaning = {
        candidate: gain
        for change in space.changes
        if (candidate := space.changed(STOCK, change)) != STOCK
        and not evidence.failed(candidate.digest)
        and not is_refuted(evidence, candidate)
        and (gain := mean_gain(evidence.screened(STOCK.digest, candidate.digest))) > WORTH_TRYING
    }
    if not leaning:
        return ()
    return (max(leaning, key=lambda candidate: (leaning[candidate], candidate.digest)),)


def _undone(
    evidence: Evidence,
    climb: Climb,
    finalists: Sequence[Configuration],
    space: SearchSpace,
    budget: Budget,
) -> tuple[str, ...]:
    """One sentence for each step that there was no time for."""
    reasons = [untried_text(climb.best, climb.untried, budget)] if climb.untried else []
    tried = [space.changed(climb.best, change) for change in space.changes]
    reasons += disturbed_texts(evidence, tried)
    return (*reasons, *unconfirmed(evidence, finalists, budget))
