"""Confirmation: finalists against stock, block by block, until their gains are known.

All strategies confirm by these rules: screening differs between them, recommendations do not.
"""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.stats.exact import next_look
from perfkit.stats.interval import Interval
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.screening import mean_gain
from perfkit.tuning.search.strategy import Budget, Confirm, Costs, Stop
from perfkit.units import seconds_text

SMALL_GAIN = 1.10
"""Ratio in screening below which a gain counts as small: few blocks seldom confirm it."""

LIKELY_LOOK = 12
"""Number of confirmation blocks that time is reserved for where screening showed a small gain."""

BLOCKS_MOST = 24
"""Most confirmation blocks of a finalist, which then stays undecided."""

SETTLED_WIDTH = 0.08
"""Relative width of the interval of a confirmed ratio below which it is known well enough."""

STOCK_FAILED = Stop(
    (
        "stock failed in its last trials, so that nothing can be compared; run the same command "
        "to try again",
    ),
    final=False,
)
"""The end of a search in which stock does not run."""


def with_last_confirmed(
    evidence: Evidence, path: Sequence[Configuration]
) -> tuple[Configuration, ...]:
    """The last incumbent, and the latest earlier one that is confirmed already.

    The earlier one is measured again with the present one, so that the two can be compared
    directly.

    Parameters
    ----------
    evidence
        Evidence of the study.
    path
        Stock and all incumbents, the present one last.
    """
    earlier = [
        configuration for configuration in path[1:-1] if is_confirmed(evidence, configuration)
    ]
    return (path[-1], *earlier[-1:])


def is_confirmed(evidence: Evidence, configuration: Configuration) -> bool:
    """Whether a configuration has enough confirmation blocks for an interval."""
    return _blocks(evidence, configuration) >= _look(evidence, configuration)


def is_refuted(evidence: Evidence, candidate: Configuration) -> bool:
    """Whether confirmation showed that a finalist is not faster, or ended undecided."""
    ratio = evidence.confirmation(STOCK.digest, candidate.digest)
    if ratio is None or ratio.surely_above(1.0):
        return False
    return ratio.surely_below(1.0) or ratio.count >= BLOCKS_MOST


def has_begun(evidence: Evidence, finalists: Sequence[Configuration]) -> bool:
    """Whether the first finalist has blocks, but not enough for its first interval."""
    return bool(finalists) and 0 < _blocks(evidence, finalists[0]) < _look(evidence, finalists[0])


def next_confirmation(
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
    if blocks < least:
        turns = budget.turns(least - blocks)
        passes = passes_before_interval(finalists, turns, budget.costs, budget.remaining_s)
        block_s = budget.costs.block_s(finalists, passes)
    kept_s = 0.0
    if any(is_confirmed(evidence, finalist) for finalist in finalists):
        kept_s = budget.costs.parts_s((STOCK, *finalists))
    if needed == 0 or budget.turns(needed) * block_s + kept_s > budget.remaining_s:
        return None
    return Confirm(finalists, passes)


def passes_before_interval(
    finalists: Sequence[Configuration], blocks: int, costs: Costs, remaining_s: float
) -> int:
    """Number of rounds of each block that is missing for the first interval of finalists.

    An interval from blocks of one pass is better than none.

    Parameters
    ----------
    finalists
        The finalists of the blocks.
    blocks
        Number of blocks that are run one after another.
    costs
        Predicted durations.
    remaining_s
        Wall seconds that are left for the blocks.
    """
    passes = costs.passes_in_block(finalists)
    return passes if blocks * costs.block_s(finalists, passes) <= remaining_s else 1


def reserve_s(
    evidence: Evidence,
    finalists: Sequence[Configuration],
    candidate: Configuration,
    budget: Budget,
    *,
    leads: bool,
) -> float:
    """Seconds to reserve for the confirmation of the result of a screening, and for its parts.

    Where the time is too short for any interval, half of it is left to screening.

    Parameters
    ----------
    evidence
        Evidence of the study.
    finalists
        The present finalists; at least one.
    candidate
        A candidate of the screening, which may become the finalist.
    budget
        Budget of the study.
    leads
        Whether the first finalist is the incumbent, rather than a change that has not won.
    """
    costs = budget.costs
    gain = mean_gain(evidence.screened(STOCK.digest, finalists[0].digest))
    # A small gain is seldom sure at the first look. A change that has not won has to wait.
    least = _look(evidence, finalists[0])
    wanted = max(least, LIKELY_LOOK) if leads and 0.0 < gain < SMALL_GAIN else least
    done = _blocks(evidence, finalists[0])
    if done >= wanted:
        # The finalist is confirmed, and a better one would need a confirmation of its own.
        finalists, done = (candidate,), 0
        least = wanted = _look(evidence, candidate)
    block_s = costs.block_s(finalists, costs.passes_in_block(finalists))
    parts_s = costs.parts_s((STOCK, *finalists))
    if done < least and budget.turns(wanted - done) * block_s + parts_s > budget.remaining_s:
        wanted = least
        shortest_s = budget.turns(least - done) * costs.block_s(finalists, 1)
        if shortest_s > budget.remaining_s:
            # No interval is within reach. Blocks that a later call continues from should not cost
            # all screening.
            return budget.remaining_s / 2
    return budget.turns(max(0, wanted - done)) * block_s + parts_s


def missing_blocks(evidence: Evidence, finalist: Configuration) -> int:
    """Number of confirmation blocks that a finalist lacks for its next interval."""
    blocks, least = _blocks(evidence, finalist), _look(evidence, finalist)
    if blocks < least:
        return least - blocks
    look = next_look(blocks)
    return 0 if look is None else look - blocks


def unconfirmed(
    evidence: Evidence, finalists: Sequence[Configuration], budget: Budget
) -> list[str]:
    """One sentence for each finalist whose confirmation lacks blocks."""
    reasons = []
    for finalist in finalists:
        least = _look(evidence, finalist)
        missing = least - _blocks(evidence, finalist)
        if missing > 0:
            block_s = budget.costs.block_s((finalist,), budget.costs.passes_in_block((finalist,)))
            needed_s = budget.turns(missing) * block_s
            reasons.append(
                f"{finalist.label} is not confirmed: {missing} of {least} blocks are missing, "
                f"about {seconds_text(needed_s)}; run again with a larger --budget to continue"
            )
    return reasons


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
