"""Importance of the knobs of a study: what each contributes to the gains. Pure: runs nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
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
    gain
        Time with the default divided by time with ``value``: the mean effect over the pairs that
        differ in the knob, with its 95 % interval if the pairs support one. The count is that of
        the pairs of processes that differ in the knob.
    """

    knob: str
    value: str
    gain: Interval


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


def importance(records: Sequence[Record]) -> tuple[KnobImportance, ...]:
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
        :func:`perfkit.tuning.recommend.measured_at_own_fidelity`. Pairs count at the depth at which
        most configurations were compared.

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
    shares, method = _shares(_settings_of(used), gains, effects, knobs)
    found = [_importance_of(knob, shares[knob], effects, method) for knob in knobs]
    return tuple(sorted(found, key=lambda one: (-one.importance, one.knob)))


def setting_effects(records: Sequence[Record]) -> tuple[SettingEffect, ...]:
    """The effect of every setting that was compared with stock, the largest gain first.

    Parameters
    ----------
    records
        As for :func:`importance`, which describes the linear model.
    """
    pairs = compared_pairs(Evidence.of_records(records))
    connected = log_gains(pairs)
    effects = _effects([pair for pair in pairs if pair.first.digest in connected])
    found = []
    for (knob, value), middle in effects.log_gains.items():
        half = effects.half_widths.get((knob, value))
        ends = (None, None) if half is None else (math.exp(middle - half), math.exp(middle + half))
        gain = Interval(math.exp(middle), *ends, effects.counts[knob])
        found.append(SettingEffect(knob, value, gain))
    return tuple(sorted(found, key=lambda one: (-one.gain.median, one.knob, one.value)))


def _importance_of(knob: str, share: float, effects: _Effects, method: str) -> KnobImportance:
    own = [setting for setting in effects.log_gains if setting[0] == knob]
    best = max(own, key=lambda setting: (effects.log_gains[setting], setting))
    middle, half = effects.log_gains[best], effects.half_widths.get(best)
    ends = None if half is None else (math.exp(middle - half), math.exp(middle + half))
    count = effects.counts[knob]
    return KnobImportance(knob, share, best[1], math.exp(middle), ends, count, method)


def _effects(pairs: Sequence[Pair]) -> _Effects:
    """The effects that explain the medians of the pairs best, by ordinary least squares."""
    settings = sorted(
        {one for pair in pairs for one in (*pair.first.settings, *pair.second.settings)}
    )
    column = {setting: number for number, setting in enumerate(settings)}
    design = np.zeros((len(pairs), len(settings)))
    for row, pair in enumerate(pairs):
        for process, sign in ((pair.second, 1.0), (pair.first, -1.0)):
            for setting in process.settings:
                design[row, column[setting]] += sign
    medians = np.array([pair.median for pair in pairs])
    inverse = np.linalg.pinv(design)
    solution = inverse @ medians
    freedom = len(pairs) - int(np.linalg.matrix_rank(design)) if settings else 0
    half_widths: dict[Setting, float] = {}
    if freedom >= FREEDOM_LEAST:
        variance = float(np.sum((medians - design @ solution) ** 2)) / freedom
        quantile = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
        # Settings that were only measured together cannot be told apart: the pairs determine
        # their sum, and a row of this matrix is that of the unit matrix for all others.
        resolution = inverse @ design
        for setting, number in column.items():
            if np.allclose(resolution[number], np.eye(len(settings))[number]):
                spread = math.sqrt(variance * float(np.sum(inverse[number] ** 2)))
                half_widths[setting] = quantile * spread
    by_knob = {
        name: [number for (other, _), number in column.items() if other == name]
        for name, _ in settings
    }
    return _Effects(
        {setting: float(solution[number]) for setting, number in column.items()},
        half_widths,
        {
            name: int(np.any(design[:, numbers] != 0, axis=1).sum())
            for name, numbers in by_knob.items()
        },
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
) -> tuple[dict[str, float], str]:
    """The share of each knob, and the method that gave it."""
    if is_installed("optuna") and len(gains) >= CONFIGURATIONS_LEAST:
        return _normalised(_ped_anova(settings, gains, knobs)), PED_ANOVA
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
