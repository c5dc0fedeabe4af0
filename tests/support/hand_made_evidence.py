"""Evidence and costs of a search, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.knobs.configuration import STOCK, Configuration
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.tuning.search.processes import Process
from perfkit.tuning.search.strategy import Budget
from tests.support.partners import CATALOGUE


class FixedCosts:
    """Every start takes 5 s and every pass 1 s."""

    def pass_s(self, configuration: Configuration) -> float:
        return 1.0

    def screening_s(
        self, base: Configuration, candidates: Sequence[Configuration], rounds: int
    ) -> float:
        return 5.0 * len(candidates) + rounds * (1.0 + len(candidates))

    def block_s(self, finalists: Sequence[Configuration], passes: int) -> float:
        return 5.0 + passes * (1.0 + len(finalists))

    def passes_in_block(self, finalists: Sequence[Configuration]) -> int:
        return 4

    def parts_s(self, configurations: Sequence[Configuration]) -> float:
        return 0.0


AMPLE = Budget(1e6, FixedCosts())


def screened(number: int, settings: dict[str, str], ratio: float) -> list[Process]:
    """A candidate that was measured in turns with stock for six rounds."""
    configuration = CATALOGUE.configuration(settings)
    block, rounds = f"block-{number}", range(6)
    return [
        Process(STOCK.digest, Role.BASE, block, dict.fromkeys(rounds, 10.0), Outcome.OK),
        Process(
            configuration.digest,
            Role.SCREEN,
            block,
            dict.fromkeys(rounds, 10.0 / ratio),
            Outcome.OK,
            configuration.settings,
        ),
    ]
