"""Configurations of a search space: those that were measured, and those that are new."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perfkit.files import short_digest
from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.tuning.search.confirmation import is_refuted, with_last_confirmed
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.tuning.search.screening import WORTH_TRYING, Standing, standing_of
from perfkit.tuning.search.strategy import Change, SearchSpace

ENUMERATED_MOST = 20_000
"""Size of the largest space whose combinations are listed; larger ones are sampled."""


@dataclass(frozen=True)
class Known:
    """The configurations of a space that were measured or failed.

    Attributes
    ----------
    evidence, space
        Evidence and space that it follows from.
    measured
        Logarithm of ``stock / configuration`` of those that were compared, stock included.
    failed
        Those that are given up: their answer is wrong, or they do not run.
    """

    evidence: Evidence
    space: SearchSpace
    measured: Mapping[Configuration, float]
    failed: frozenset[Configuration]

    def is_new(self, configuration: Configuration) -> bool:
        """Whether a configuration of the space was neither measured nor failed."""
        known = configuration in self.measured or configuration in self.failed
        return not known and self.space.holds(configuration.settings)

    @property
    def count(self) -> int:
        """Number of configurations that were measured or failed, stock included."""
        return len(self.measured.keys() | self.failed | {STOCK})

    @property
    def eligible(self) -> list[Configuration]:
        """Measured configurations that may become incumbent, in order of their digests."""
        found = [
            configuration
            for configuration in self.measured
            if configuration != STOCK
            and configuration not in self.failed
            and not is_refuted(self.evidence, configuration)
        ]
        return sorted(found, key=lambda configuration: configuration.digest)

    @cached_property
    def path(self) -> tuple[Configuration, ...]:
        """Stock and all incumbents, the present one last.

        Each step takes the configuration with the largest gain of those that won against the
        incumbent.
        """
        path = [STOCK]
        while True:
            won: dict[Configuration, float] = {}
            for candidate in self.eligible:
                reached, gain = self.standing(path[-1], candidate)
                if candidate not in path and reached is Standing.WON:
                    won[candidate] = gain
            if not won:
                return tuple(path)
            path.append(max(won, key=lambda candidate: (won[candidate], candidate.digest)))

    @property
    def best(self) -> Configuration:
        """The incumbent."""
        return self.path[-1]

    def standing(self, base: Configuration, candidate: Configuration) -> tuple[Standing, float]:
        """Standing and gain of a candidate against a base."""
        least_gain = self.space.least_gain(base, candidate)
        return standing_of(self.evidence.pairs(base.digest, candidate.digest), least_gain)

    @cached_property
    def repeats(self) -> tuple[Configuration, ...]:
        """Configurations that look faster than the incumbent and did not win yet, best first."""
        found: list[tuple[float, Configuration]] = []
        for candidate in self.eligible:
            ahead = self.measured[candidate] - self.measured.get(self.best, 0.0)
            reached, _ = self.standing(self.best, candidate)
            open_yet = reached not in (Standing.WON, Standing.LOST) and candidate not in self.path
            if open_yet and ahead > math.log(WORTH_TRYING):
                found.append((ahead, candidate))
        return tuple(candidate for _, candidate in sorted(found, key=lambda pair: -pair[0]))

    @cached_property
    def untried(self) -> tuple[Change, ...]:
        """Changes that were measured on no base, most promising first."""
        # On a base that fails itself, nothing is learned of a change.
        bases = [configuration.as_dict() for configuration in self.measured]
        known = {
            frozenset(configuration.settings) for configuration in (*self.measured, *self.failed)
        }
        return tuple(
            change
            for change in self.space.changes
            if self.space.changed(self.best, change) != self.best
            and not any(
                (changed := base | dict(change)) != base and frozenset(changed.items()) in known
                for base in bases
            )
        )

    @cached_property
    def combined(self) -> tuple[Configuration, ...]:
        """New configurations: the incumbent with the changes that gained on other bases.

        Changes that are measured together with a better one are not part of the next incumbent.
        All of them at once come first, then each of them, the largest gain first.
        """
        by_settings = {frozenset(one.settings): gain for one, gain in self.measured.items()}
        gains: dict[Change, float] = {}
        for change in self.space.changes:
            on_bases = [
                by_settings[changed] - gain
                for base, gain in self.measured.items()
                if not base.as_dict().keys() & dict(change).keys()
                and (changed := frozenset([*base.settings, *change])) in by_settings
            ]
            if on_bases and statistics.fmean(on_bases) > math.log(WORTH_TRYING):
                gains[change] = statistics.fmean(on_bases)
        ordered = sorted(gains, key=lambda change: -gains[change])
        each = [self.space.changed(self.best, change) for change in ordered]
        together = self.best
        for change in reversed(ordered):
            # Of several values of one knob, the best is set last.
            together = self.space.changed(together, change)
        return tuple(one for one in dict.fromkeys([together, *each]) if self.is_new(one))

    def challengers(self) -> int:
        """Number of combinations that were measured with the incumbent and did not replace it.

        Single changes of the incumbents so far are not counted: those of an earlier one are
        screened with the change that made the next.
        """
        singles = {
            self.space.changed(base, change) for base in self.path for change in self.space.changes
        }
        return sum(
            bool(self.evidence.pairs(self.best.digest, configuration.digest))
            for configuration in self.measured.keys() - singles - {self.best, STOCK}
        )

    def finalists(self) -> tuple[Configuration, ...]:
        """The configurations to confirm: the incumbent, or the largest gain where nothing won."""
        if self.best != STOCK:
            return with_last_confirmed(self.evidence, self.path)
        leaning = [
            candidate
            for candidate in self.eligible
            if self.measured[candidate] > math.log(WORTH_TRYING)
        ]
        return (max(leaning, key=lambda one: self.measured[one]),) if leaning else ()

    # -- new configurations -------------------------------------------------------------------

    def seed(self, seed: int) -> int:
        """Seed of the random numbers of the next decision, from 0 to 2**32 - 1."""
        return int(short_digest([seed, self.space.key, self.count], digits=8), 16)

    def combinations(self) -> Iterator[Configuration]:
        """All configurations of the space; the last knob changes fastest."""
        values = self.space.values
        for chosen in itertools.product(*values.values()):
            yield self.space.catalogue.configuration(dict(zip(values, chosen, strict=True)))

    def neighbours(self) -> Iterator[Configuration]:
        """New configurations that differ from the incumbent in one knob or in two."""
        values, base = self.space.values, self.best.as_dict()
        settings = [(name, value) for name, listed in values.items() for value in listed]
        for first, second in itertools.combinations_with_replacement(settings, 2):
            one = self.space.catalogue.configuration(base | dict([first, second]))
            if self.is_new(one):
                yield one

    def shuffled(self, seed: int) -> Iterator[Configuration]:
        """New configurations in random order, without repetition.

        The order depends on the seed and the space only. From a space that is too large to be
        listed, combinations are drawn, until most draws are known already.
        """
        generator = random.Random(f"{seed} {self.space.key}")
        if self.space.size <= ENUMERATED_MOST:
            listed = list(self.combinations())
            generator.shuffle(listed)
            yield from (one for one in listed if self.is_new(one))
            return
        seen: set[Configuration] = set()
        for _ in range(ENUMERATED_MOST):
            drawn = self.space.catalogue.configuration(
                {name: generator.choice(values) for name, values in self.space.values.items()}
            )
            if drawn not in seen and self.is_new(drawn):
                yield drawn
            seen.add(drawn)


def known_configurations(evidence: Evidence, space: SearchSpace) -> Known:
    """The configurations of ``space`` that ``evidence`` has measured or seen fail."""
    gains = log_gains(compared_pairs(evidence))
    measured, failed = {STOCK: 0.0}, set[Configuration]()
    for digest, settings in evidence.looked_at.items():
        if not space.holds(settings):
            continue
        configuration = space.catalogue.configuration(dict(settings))
        if evidence.failed(digest):
            failed.add(configuration)
        elif digest in gains:
            # Sums depend on the order of their terms in the last digits; decisions must not.
            measured[configuration] = round(gains[digest], 9)
    return Known(evidence, space, measured, frozenset(failed))


def first_new(
    known: Known, candidates: Iterator[Configuration], count: int
) -> Sequence[Configuration]:
    """The first ``count`` different configurations that are new."""
    new = (one for one in candidates if known.is_new(one))
    return list(itertools.islice(dict.fromkeys(new), count))
