"""Importance of the knobs of a study: what each contributes to the gains. Pure: runs nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from perfkit.records.schema import Record
from perfkit.stats.interval import CONFIDENCE, Interval
from perfkit.tuning.search.evidence import Evidence
from perfkit.tuning.search.gains import compared_pairs, log_gains
from perfkit.tuning.search.optuna_studies import finished_trial, quiet_optuna
from perfkit.tuning.search.packages import is_installed
from perfkit.tuning.search.processes import Pair
from perfkit.tuning.search.settings import Settings

PED_ANOVA = "ped-anova"
MAIN_EFFECTS = "main effects"

CONFIGURATIONS_LEAST = 20
"""Least number of configurations for PED-ANOVA: the best quarter should hold at least five, as its
documentation recommends."""

CONFIGURATIONS_MOST = 1000
"""Most configurations for PED-ANOVA, whose time grows with their number: a second for these. Of
more, every n-th by its gain counts, so that the best quarter of them is that of all."""

BEST_SHARE = 0.25
"""Share of the configurations that PED-ANOVA compares with all of them."""

FREEDOM_LEAST = 3
"""Least degrees of freedom of the scatter of the pairs for an interval: with fewer, Student's
quantile is so large that the interval shows nothing."""

_DEFAULT = ""
"""Stands for the default of a knob, which records do not hold."""

type Setting = tuple[str, str]


@dataclass(frozen=True)
class KnobImportance:
    """The contribution of one knob to the times of the configurations of a study.

    Attributes
    ----------
    knob
        Name of the knob.
    importance
        Share of this knob in the importance of all knobs, from 0 to 1. The shares of a study add up
        to 1, unless no knob has an effect.
    best_value
        The measured value with the largest gain over the default.
    gain
        Time with the default divided by time with ``best_value``, other settings being equal: the
        mean effect over the pairs that differ in the knob. Below 1 where the default is the best
        value.
    interval
        Ends of the 95 % interval of the gain, or None where the pairs support none.
    count
        Number of pairs of processes that differ in the knob.
    method
        How the share was computed: :data:`PED_ANOVA`, or :data:`MAIN_EFFECTS` where the study has
        fewer than :data:`CONFIGURATIONS_LEAST` configurations or Optuna is not installed.
    """

    knob: str
    importance: float
    best_value: str
    gain: float
    interval: tuple[float, float] | None
    count: int
    method: str


@dataclass(frozen=True)
class SettingEffect:
    """The effect of one value of a knob, other settings being equal.

    Attributes
    ----------
    knob, value
        The setting.
    over
        The value that it is compared with; empty for the default.
    gain
        Time with ``over`` divided by time with ``value``: the mean effect over the pairs that
        differ in the knob, with its 95 % interval if the pairs support one. The count is that of
        the pairs of processes that differ in the knob.
    alone
        Whether the pairs determine the effect. Otherwise the setting was only measured together
        with others, and ``gain`` is its equal share of their gain.
    depth
        Depth of the network that the pairs ran.
    """

    knob: str
    value: str
    over: str
    gain: Interval
    alone: bool
    depth: str


@dataclass(frozen=True)
class _Effects:
    """The effect of each setting on the logarithm of the gain, other settings being equal.

    Attributes
    ----------
    log_gains
        Estimate by setting.
    half_widths
        Half the width of the interval of an estimate, where there is one.
    counts
        Number of pairs that differ in a knob, by knob.
    """

    log_gains: Mapping[Setting, float]
    half_widths: Mapping[Setting, float]
    counts: Mapping[str, int]


def importance(
    records: Sequence[Record], most: int = CONFIGURATIONS_MOST
) -> tuple[KnobImportance, ...]:
    """The importance of each knob that a configuration sets, the largest first.

    The share of a knob comes from PED-ANOVA: how much the distribution of its values among the
    best quarter of the configurations differs from that among all of them. With few configurations
    it is the share of the knob's main effect, from its best value to its worst, in the sum of all
    main effects.

    Gains are main effects: the coefficients of a linear model of the logarithms of paired ratios,
    with Student's interval from the scatter of the pairs about the model. Interactions of knobs
    add to that scatter and widen the intervals.

    Parameters
    ----------
    records
        Records of one study and one workload, see
        :func:`perfkit.tuning.choice.recommend.measured_at_own_fidelity`. Pairs count at the depth
        at which most configurations were compared.
    most
        Most configurations for PED-ANOVA.

    Returns
    -------
    tuple of KnobImportance
        Empty if no configuration was compared with stock.

    References
    ----------
    S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
    Importance in Arbitrary Subspaces", IJCAI 2023. Linear model: G. Seber and A. Lee, "Linear
    Regression Analysis", 2nd edition (2003), chapters 3 and 5.
    """
    pairs = compared_pairs(Evidence.of_records(records))
    gains = log_gains(pairs)
    used = [pair for pair in pairs if pair.first.digest in gains]
    effects = _effects(used)
    knobs = sorted({name for name, _ in effects.log_gains})
    shares, method = _shares(_settings_of(used), gains, effects, knobs, most)
    found = [_importance_of(knob, shares[knob], effects, method) for knob in knobs]
    return tuple(sorted(found, key=lambda one: (-one.importance, one.knob)))


def setting_effects(records: Sequence[Record]) -> tuple[SettingEffect, ...]:
    """The effect of every setting that was compared with another value, the largest gain first.

    Unlike the gains of :func:`importance`, the effects need no comparison with stock: a candidate
    that differs from its base in one knob shows the effect of that knob.

    Parameters
    ----------
    records
        As for :func:`importance`, which describes the linear model. Each depth of the network has
        a model of its own. Where several depths show an effect, that with the closest comparison
        counts: with an interval, against the default, with the most pairs.
    """
    by_depth: dict[str, list[Pair]] = defaultdict(list)
    for pair in Evidence.of_records(records).comparisons:
        by_depth[pair.first.depth].append(pair)
    found: dict[Setting, SettingEffect] = {}
    for depth, pairs in by_depth.items():
        model = _LinearModel.of_pairs(pairs)
        for setting in model.column:
            effect = _effect_of(setting, model, depth)
            if effect is not None:
                known = found.get(setting)
                found[setting] = effect if known is None else max(known, effect, key=_closeness)
    return tuple(sorted(found.values(), key=lambda one: (-one.gain.median, one.knob, one.value)))


def _effect_of(setting: Setting, model: _LinearModel, depth: str) -> SettingEffect | None:
    """The effect over the default, or over another value if the pairs show only that."""
    knob, value = setting
    count = model.pairs_that_differ(knob)
    if not count:
        return None
    others = [other for other in model.by_use if other[0] == knob and other != setting]
    weights: Mapping[Setting, float] = {setting: 1.0}
    for over, chosen in (
        ("", weights),
        *((other[1], {setting: 1.0, other: -1.0}) for other in others),
    ):
        estimate = model.estimate(chosen)
        if estimate is None:
            continue
        if over and model.by_use.index(setting) < model.by_use.index((knob, over)):
            # The other value is compared with this one.
            return None
        middle, half = estimate
        low, high = (None, None) if half is None else (middle - half, middle + half)
        gain = Interval(math.exp(middle), _exp(low), _exp(high), count)
        return SettingEffect(knob, value, over, gain, True, depth)
    share = Interval(math.exp(model.share(setting)), None, None, count)
    return SettingEffect(knob, value, "", share, False, depth)


def _exp(logarithm: float | None) -> float | None:
    return None if logarithm is None else math.exp(logarithm)


def _closeness(effect: SettingEffect) -> tuple[bool, bool, bool, int]:
    return effect.alone, effect.gain.known, not effect.over, effect.gain.count


def _importance_of(knob: str, share: float, effects: _Effects, method: str) -> KnobImportance:
    own = [setting for setting in effects.log_gains if setting[0] == knob]
    best = max(own, key=lambda setting: (effects.log_gains[setting], setting))
    middle, half = effects.log_gains[best], effects.half_widths.get(best)
    ends = None if half is None else (math.exp(middle - half), math.exp(middle + half))
    count = effects.counts[knob]
    return KnobImportance(knob, share, best[1], math.exp(middle), ends, count, method)


@dataclass(frozen=True)
class _LinearModel:
    """The effects that explain the medians of the pairs best, by ordinary least squares.

    Attributes
    ----------
    column
        Column of the design by setting.
    design
        One row per pair: 1 for the settings of its second process, -1 for those of the first.
    inverse
        Pseudo-inverse of the design.
    solution
        The effects, of which those that the pairs do not determine share their sum equally.
    error
        Half the width of the interval of an effect with a unit row in ``inverse``; None if there
        are too few pairs.
    by_use
        The settings, that of the most processes first.
    """

    column: Mapping[Setting, int]
    design: NDArray[np.float64]
    inverse: NDArray[np.float64]
    solution: NDArray[np.float64]
    error: float | None
    by_use: tuple[Setting, ...]

    @classmethod
    def of_pairs(cls, pairs: Sequence[Pair]) -> _LinearModel:
        processes = [process for pair in pairs for process in (pair.first, pair.second)]
        used = Counter(setting for process in processes for setting in process.settings)
        column = {setting: number for number, setting in enumerate(sorted(used))}
        design = np.zeros((len(pairs), len(column)))
        for row, pair in enumerate(pairs):
            for process, sign in ((pair.second, 1.0), (pair.first, -1.0)):
                for setting in process.settings:
                    design[row, column[setting]] += sign
        medians = np.array([pair.median for pair in pairs])
        inverse = np.linalg.pinv(design)
        solution = inverse @ medians
        freedom = len(pairs) - int(np.linalg.matrix_rank(design)) if column else 0
        error = None
        if freedom >= FREEDOM_LEAST:
            variance = float(np.sum((medians - design @ solution) ** 2)) / freedom
            error = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * math.sqrt(variance)
        by_use = tuple(sorted(column, key=lambda setting: (-used[setting], setting)))
        return cls(column, design, inverse, solution, error, by_use)

    def estimate(self, weights: Mapping[Setting, float]) -> tuple[float, float | None] | None:
        """A sum of effects and half the width of its interval; None if the pairs do not show it.

        Settings that were only measured together cannot be told apart: the pairs determine their
        sum. The rows of the resolution matrix are those of the unit matrix for all others.
        """
        vector = np.zeros(len(self.column))
        for setting, weight in weights.items():
            vector[self.column[setting]] = weight
        spread = vector @ self.inverse
        if not np.allclose(spread @ self.design, vector):
            return None
        half = None if self.error is None else self.error * math.sqrt(float(np.sum(spread**2)))
        return float(vector @ self.solution), half

    def share(self, setting: Setting) -> float:
        """The effect of a setting, or its share of a sum that the pairs determine."""
        return float(self.solution[self.column[setting]])

    def pairs_that_differ(self, knob: str) -> int:
        """Number of pairs that differ in a knob."""
        own = [number for (name, _), number in self.column.items() if name == knob]
        return int(np.any(self.design[:, own] != 0, axis=1).sum())


def _effects(pairs: Sequence[Pair]) -> _Effects:
    model = _LinearModel.of_pairs(pairs)
    half_widths = {
        setting: found[1]
        for setting in model.column
        if (found := model.estimate({setting: 1.0})) is not None and found[1] is not None
    }
    return _Effects(
        {setting: model.share(setting) for setting in model.column},
        half_widths,
        {name: model.pairs_that_differ(name) for name, _ in model.column},
    )


def _settings_of(pairs: Sequence[Pair]) -> dict[str, Settings]:
    """Settings by digest of the configurations of the pairs."""
    return {
        process.digest: process.settings for pair in pairs for process in (pair.first, pair.second)
    }


def _shares(
    settings: Mapping[str, Settings],
    gains: Mapping[str, float],
    effects: _Effects,
    knobs: Sequence[str],
    most: int,
) -> tuple[dict[str, float], str]:
    """The share of each knob, and the method that gave it."""
    if is_installed("optuna") and len(gains) >= CONFIGURATIONS_LEAST:
        ordered = sorted(gains, key=lambda digest: (gains[digest], digest))
        counted = ordered[:: math.ceil(len(ordered) / most)]
        drawn = {digest: gains[digest] for digest in counted}
        return _normalised(_ped_anova(settings, drawn, knobs)), PED_ANOVA
    ranges: dict[str, float] = {}
    for knob in knobs:
        own = [0.0, *(gain for (name, _), gain in effects.log_gains.items() if name == knob)]
        ranges[knob] = max(own) - min(own)
    return _normalised(ranges), MAIN_EFFECTS


def _ped_anova(
    settings: Mapping[str, Settings], gains: Mapping[str, float], knobs: Sequence[str]
) -> dict[str, float]:
    import optuna

    values = {
        knob: (
            _DEFAULT,
            *sorted({dict(own)[knob] for own in settings.values() if knob in dict(own)}),
        )
        for knob in knobs
    }
    with quiet_optuna():
        study = optuna.create_study(direction="minimize")
        study.add_trials(
            [finished_trial(settings[digest], values, gain) for digest, gain in gains.items()]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
    return {knob: float(found[knob]) for knob in knobs}


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights, divided by their sum; all 0 if the sum is 0."""
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}
