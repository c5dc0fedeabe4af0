"""Searches on a simulated machine whose screening runs in shared processes.

Plays the decisions of a strategy directly, without a study: screenings pass the shallow network, in
one process for all programs whose process-wide settings are equal; confirmation passes the full
network, in a new process for each member of a block.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.simulated import Machine, Noise, SimulatedModel, space_of
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.records.depths import FULL_DEPTH, SHALLOW_DEPTH
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.stats.interval import Interval
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.settings import Settings, process_settings
from perfkit.tuning.search.strategy import Budget, Confirm, Screen, SearchSpace, Stop, Strategy


@dataclass(frozen=True)
class TrueCosts:
    """The true durations of steps, without noise.

    Attributes
    ----------
    model, machine
        The simulated model and machine.
    """

    model: SimulatedModel
    machine: Machine

    def pass_s(self, configuration: Configuration) -> float:
        """Seconds of one pass at full depth."""
        return self.machine.pass_s * self.model.factor(configuration)

    def screening_s(
        self, base: Configuration, candidates: Sequence[Configuration], rounds: int
    ) -> float:
        """Seconds to start the processes, compile the candidates, and pass all in turns."""
        members = (base, *candidates)
        children = {process_settings(member.settings) for member in members}
        start_s = len(children) * self.machine.start_s
        compile_s = (len(members) - len(children)) * self.machine.program_s
        round_s = self.machine.shallow * sum(self.pass_s(member) for member in members)
        return start_s + compile_s + (1 + rounds) * round_s

    def block_s(self, finalists: Sequence[Configuration], passes: int) -> float:
        """Seconds of one confirmation block; its programs come from the compilation cache."""
        members = (STOCK, *finalists)
        passes_s = sum(self.pass_s(member) for member in members)
        return len(members) * self.machine.restart_s + (1 + passes) * passes_s

    def passes_in_block(self, finalists: Sequence[Configuration]) -> int:
        """Always four."""
        return 4

    def parts_s(self, configurations: Sequence[Configuration]) -> float:
        """Zero: parts are not simulated."""
        return 0.0


@dataclass
class Played:
    """A search on the simulated machine, and what it has measured so far.

    Attributes
    ----------
    strategy, space
        What decides, and what is searched.
    costs
        True durations.
    noise
        Differences between passes.
    generator
        Random numbers of the noise.
    clock_s
        Simulated seconds since the start.
    processes
        Processes so far.
    reasons
        What the strategy left undone.
    """

    strategy: Strategy
    space: SearchSpace
    costs: TrueCosts
    noise: Noise
    generator: np.random.Generator
    clock_s: float = 0.0
    processes: list[Process] = field(default_factory=list)
    reasons: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence:
        """Evidence of all processes."""
        return Evidence(self.processes)

    @property
    def speedups(self) -> dict[Settings, Interval]:
        """Confirmed speed-up over stock of each finalist, by settings."""
        evidence = self.evidence
        found = {
            evidence.looked_at[digest]: evidence.confirmation(STOCK.digest, digest)
            for digest in evidence.finalists
        }
        return {settings: ratio for settings, ratio in found.items() if ratio is not None}

    @property
    def winner(self) -> Settings:
        """Settings of the largest confirmed gain; empty if nothing is surely faster than stock."""
        faster = {
            settings: ratio.median
            for settings, ratio in self.speedups.items()
            if ratio.surely_above(1.0)
        }
        return max(faster, key=lambda settings: faster[settings], default=())

    def run(self, budget_s: float) -> None:
        """Search until the strategy stops."""
        while True:
            budget = Budget(budget_s - self.clock_s, self.costs, shared=True)
            match decision := self.strategy.decide(self.evidence, self.space, budget):
                case Screen():
                    self._screen(decision)
                case Confirm():
                    members = (STOCK, *decision.finalists)
                    self.clock_s += self.costs.block_s(decision.finalists, decision.passes)
                    block, rounds = self._next_block(), range(decision.passes)
                    for member in members:
                        offset = self._draw(self.noise.process_sigma)
                        offset += self._draw(self.noise.program_sigma)
                        times_s = {number: self._pass_s(member, offset) for number in rounds}
                        self._keep(member, Role.CONFIRM, block, times_s, FULL_DEPTH)
                case Stop():
                    self.reasons = decision.reasons
                    return

    def _screen(self, screen: Screen) -> None:
        """Pass base and candidates in turns until the strategy has seen enough."""
        members, block = (screen.base, *screen.candidates), self._next_block()
        children: dict[Settings, float] = {}
        offsets: dict[Configuration, float] = {}
        for member in members:
            child = process_settings(member.settings)
            if child not in children:
                children[child] = self._draw(self.noise.process_sigma)
            offsets[member] = children[child] + self._draw(self.noise.program_sigma)
        times_s: dict[Configuration, dict[int, float]] = defaultdict(dict)
        rounds = 0
        for number in range(screen.rounds_most):
            undecided = [
                one for one in screen.candidates if self._needs_round(screen.base, one, times_s)
            ]
            if not undecided:
                break
            for member in (screen.base, *undecided):
                seconds = self._pass_s(member, offsets[member]) * self.costs.machine.shallow
                times_s[member][number] = seconds
            rounds += 1
        self.clock_s += self.costs.screening_s(screen.base, screen.candidates, rounds)
        for member in members:
            role = Role.BASE if member == screen.base else Role.SCREEN
            self._keep(member, role, block, times_s[member], SHALLOW_DEPTH)

    def _needs_round(
        self,
        base: Configuration,
        candidate: Configuration,
        times_s: Mapping[Configuration, Mapping[int, float]],
    ) -> bool:
        common = times_s[candidate].keys() if candidate in times_s else ()
        logarithms = [math.log(times_s[base][at] / times_s[candidate][at]) for at in common]
        together = process_settings(base.settings) == process_settings(candidate.settings)
        return self.strategy.needs_round(logarithms, together)

    def _keep(
        self,
        configuration: Configuration,
        role: Role,
        block: str,
        times_s: Mapping[int, float],
        depth: str,
    ) -> None:
        self.processes.append(
            Process(
                configuration.digest,
                role,
                block,
                dict(times_s),
                Outcome.OK,
                configuration.settings,
                depth,
                shared=depth == SHALLOW_DEPTH,
            )
        )

    def _next_block(self) -> str:
        return f"block-{len(self.processes)}"

    def _draw(self, sigma: float) -> float:
        return sigma * float(self.generator.standard_normal())

    def _pass_s(self, configuration: Configuration, offset: float) -> float:
        noise = self.noise
        logarithm = offset + self._draw(noise.pass_sigma)
        slow = self.generator.random() < noise.outlier_share
        factor = noise.outlier_factor if slow else 1.0
        return self.costs.pass_s(configuration) * math.exp(logarithm) * factor


def play(
    strategy: Strategy,
    factors: Mapping[str, float],
    machine: Machine,
    noise: Noise,
    budget_s: float,
    seed: int,
) -> Played:
    """A finished search on the simulated machine.

    Parameters
    ----------
    strategy
        Decides what is measured.
    factors
        By knob, the factor of the seconds of a pass when the knob is on. A knob whose name begins
        with ``xla_`` needs a process of its own.
    machine, noise
        The simulated machine and its noise; drift is left out.
    budget_s
        Budget in simulated seconds.
    seed
        Seed of the random numbers.
    """
    model = SimulatedModel(factors)
    space = space_of(Catalogue(model.knobs), factors)
    generator = np.random.default_rng(seed)
    played = Played(strategy, space, TrueCosts(model, machine), noise, generator)
    played.run(budget_s)
    return played
