"""Single changes first, then Optuna's tree-structured Parzen estimator over the whole space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perfkit.knobs.configuration import Configuration
from perfkit.tuning.search.known import Known, first_new
from perfkit.tuning.search.optuna_studies import distributions, finished_trial, quiet_optuna
from perfkit.tuning.search.packages import require_package
from perfkit.tuning.search.space_search import SpaceSearch

ASKS_MOST = 64
"""Number of samples from which a batch of new configurations is chosen. The sampler may propose
configurations that were measured before; where it proposes no other, new ones are drawn at
random."""

PATIENCE = 24
"""Number of combinations that the incumbent has to withstand before the search ends."""


@dataclass(frozen=True)
class ScreenTpe(SpaceSearch):
    """Screens each change on the incumbent, then combinations that Optuna's TPE proposes.

    The sampler is multivariate: it models which values go well together, and is not misled by
    knobs that interact. Its study is built anew from the evidence for each decision. It is in
    memory: Optuna's journal would hold only the proposals that have no record yet, and a decision
    that depends on them could not be repeated from the records. The candidates of one screening are
    kept apart by Optuna's constant liar, which treats running trials as bad ones. Several workers
    share a study through its records: equal evidence gives them the same candidates, of which each
    worker takes one that no other one holds.

    Configurations that failed are entered with a value worse than all others, so that the
    sampler avoids the settings that they have in common.

    Attributes
    ----------
    seed
        Seed of the sampler, which also depends on the space and on the number of configurations
        that were measured.
    patience
        Number of combinations that the incumbent has to withstand before the search ends.

    References
    ----------
    J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011. S. Falkner,
    A. Klein and F. Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML
    2018, for the multivariate estimator.
    """

    name = "screen+tpe"

    seed: int = 0
    patience: int = PATIENCE

    def __post_init__(self) -> None:
        require_package(self.name, "optuna")

    def propose(self, known: Known, count: int) -> Sequence[Configuration]:
        """The next samples that are new."""
        if known.challengers() >= self.patience:
            return []
        sampled = first_new(known, self._samples(known), count)
        return sampled or first_new(known, known.shuffled(self.seed), count)

    def _samples(self, known: Known) -> Iterator[Configuration]:
        import optuna

        values = known.space.values
        worst = min(known.measured.values()) - 1.0
        gains = dict(known.measured) | dict.fromkeys(known.failed, worst)
        with quiet_optuna():
            sampler = optuna.samplers.TPESampler(
                multivariate=True,
                constant_liar=True,
                n_startup_trials=0,
                seed=known.seed(self.seed),
            )
            study = optuna.create_study(sampler=sampler, direction="minimize")
            study.add_trials(
                [finished_trial(one.settings, values, gains[one]) for one in sorted(gains)]
            )
            asked = [study.ask(distributions(values)).params for _ in range(ASKS_MOST)]
        for params in asked:
            yield known.space.catalogue.configuration(params)
