"""Versions of jaxlib, compared: which gives right answers, and which of those is fastest.

Pure: runs nothing. The records are those of configurations with the knob
:data:`perfkit.knobs.jaxlib.JAXLIB`, measured in turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfkit.knobs.jaxlib import JAXLIB
from perfkit.packages import parse_version
from perfkit.records.findings import AGREEMENT_NAMES
from perfkit.records.schema import Outcome, Record
from perfkit.records.settings import settings_label
from perfkit.stats.exact import sequential_ratio
from perfkit.stats.interval import CONFIDENCE, Interval
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.choice.rows import Row, rows_of
from perfkit.tuning.search.evidence import Evidence
from perfkit.units import count_text, ratio_text, seconds_interval_text

NO_AGREEMENT = AGREEMENT_NAMES[-1]
"""Class of an answer outside every tolerance."""


@dataclass(frozen=True)
class KnownAnswers:
    """How many of the known-answer programs a version of jaxlib computes right on this CPU.

    Attributes
    ----------
    right, total
        Number of right answers, and of programs.
    wrong
        Names of the programs with a wrong answer.
    """

    right: int
    total: int
    wrong: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether every answer is right."""
        return not self.wrong


@dataclass(frozen=True)
class VersionRow:
    """One configuration under one version of jaxlib.

    Attributes
    ----------
    jaxlib
        The version.
    configuration
        Label of the settings without the version.
    row
        Times, memory, agreement and outcome.
    ratio
        Time of the same configuration under the base version over that under this one, from common
        rounds; None where they have none, and 1 for the base version.
    """

    jaxlib: str
    configuration: str
    row: Row
    ratio: Interval | None

    @property
    def right(self) -> bool:
        """Whether the prediction ran to its end with an answer inside a tolerance."""
        return self.row.outcome is Outcome.OK and self.row.agreement != NO_AGREEMENT


@dataclass(frozen=True)
class JaxlibComparison:
    """Versions of jaxlib on this machine.

    Attributes
    ----------
    workload
        Name and size of the workload, for a heading.
    base
        The version that the others are compared with.
    rows
        The rows, by configuration and then by version, oldest version first.
    known
        Known answers by version; empty where no version was examined.
    sentence
        Which versions are right, and which of those is fastest.
    """

    workload: str
    base: str
    rows: tuple[VersionRow, ...]
    known: Mapping[str, KnownAnswers]
    sentence: str


def compare_jaxlibs(
    records: Sequence[Record], known: Mapping[str, KnownAnswers] | None = None
) -> JaxlibComparison | None:
    """Compare the versions of jaxlib in records of one workload.

    Parameters
    ----------
    records
        The records; those of other fidelities and of the reference are left out.
    known
        Known answers by version.

    Returns
    -------
    JaxlibComparison or None
        None where the records hold a single version, or none.
    """
    known = {} if known is None else known
    compared = [r for r in measured_at_own_fidelity(records) if r.role != "reference"]
    version_of = {r.configuration.digest: str(r.versions.get("jaxlib")) for r in compared}
    versions = sorted(set(version_of.values()), key=parse_version)
    if len(versions) < 2:
        return None
    evidence = Evidence.of_records(compared)
    confidence = confidence_among(len(versions))
    by_label: dict[str, dict[str, Row]] = {}
    for row in rows_of(compared, evidence):
        rest = {name: value for name, value in row.settings.items() if name != JAXLIB}
        label = settings_label(sorted(rest.items()))
        by_label.setdefault(label, {})[version_of[row.digest]] = row
    running = [version_of[r.configuration.digest] for r in compared if not _sets_jaxlib(r)]
    base = running[0] if running else versions[0]
    rows = tuple(
        VersionRow(
            version, label, own[version], _ratio(evidence, own.get(base), own[version], confidence)
        )
        for label, own in sorted(by_label.items(), key=lambda pair: pair[0] != "stock")
        for version in versions
        if version in own
    )
    workload = compared[-1].workload
    return JaxlibComparison(
        workload=f"{workload.name} ({workload.size})",
        base=base,
        rows=rows,
        known=dict(known),
        sentence=_sentence(versions, rows, known, evidence),
    )


def confidence_among(versions: int) -> float:
    """Confidence level of each ratio of two versions, so that 95 % hold for all of them together.

    The error is divided among the comparisons with the fastest version (Bonferroni).
    """
    return 1 - (1 - CONFIDENCE) / max(1, versions - 1)


def reference_version(
    running: str, versions: Sequence[str], known: Mapping[str, KnownAnswers]
) -> str:
    """The version whose answer the others are compared with.

    Parameters
    ----------
    running
        Version of the running environment, which is preferred.
    versions
        Versions that are compared.
    known
        Known answers by version. A version that was not examined counts as right.

    Returns
    -------
    str
        The first version with right answers, or `running` where there is none.
    """
    preferred = dict.fromkeys((running, *versions) if running in known else versions)
    return next((one for one in preferred if one not in known or known[one].healthy), running)


def _sets_jaxlib(record: Record) -> bool:
    return JAXLIB in record.configuration.settings


def _ratio(evidence: Evidence, base: Row | None, row: Row, confidence: float) -> Interval | None:
    """Time of ``base`` over that of ``row``: over blocks of fresh processes, else over rounds."""
    if base is None:
        return None
    if base.digest == row.digest:
        return Interval(1.0, None, None, 0) if row.time_s is not None else None
    if logarithms := evidence.confirmed(base.digest, row.digest):
        return sequential_ratio(logarithms, confidence)
    found = evidence.round_medians().get((base.digest, row.digest))
    return None if found is None else Interval(found[0], None, None, found[1])


def _sentence(
    versions: Sequence[str],
    rows: Sequence[VersionRow],
    known: Mapping[str, KnownAnswers],
    evidence: Evidence,
) -> str:
    parts = [_wrong_sentence(version, rows, known) for version in versions]
    right = [version for version, part in zip(versions, parts, strict=True) if not part]
    best = [row for version in right if (row := _fastest(version, rows)) is not None]
    sentences = [part for part in parts if part]
    if not best:
        return ". ".join([*sentences, "No version is right and was measured here."])
    first = min(best, key=_median_s)
    assert first.row.time_s is not None
    confidence = confidence_among(len(versions))
    ratios = {
        other.jaxlib: _ratio(evidence, other.row, first.row, confidence)
        for other in best
        if other != first
    }
    slower = [v for v, ratio in ratios.items() if ratio is not None and ratio.surely_above(1.0)]
    same = [version for version in ratios if version not in slower]
    shown = f"{seconds_interval_text(first.row.time_s)} with {first.configuration}"
    if not ratios:
        sentences.append(f"jaxlib {first.jaxlib} is the only version that is right here: {shown}")
    elif slower:
        gains = ", ".join(
            f"{ratio_text(ratio)} as fast as {version}"
            for version, ratio in ratios.items()
            if ratio is not None and version in slower
        )
        sentences.append(f"jaxlib {first.jaxlib} is right and fastest here: {shown}, {gains}")
    else:
        sentences.append(f"jaxlib {first.jaxlib} is right and has the shortest time: {shown}")
    if same:
        listed = " and ".join(same)
        sentences.append(f"Its time cannot be told apart from that of {listed} with these runs")
    return ". ".join(sentences) + "."


def _wrong_sentence(
    version: str, rows: Sequence[VersionRow], known: Mapping[str, KnownAnswers]
) -> str:
    """Why a version is not right; empty for one that is."""
    answers = known.get(version)
    if answers is not None and not answers.healthy:
        wrong = count_text(len(answers.wrong), "known answer")
        return f"jaxlib {version} gives {wrong} of {answers.total} wrong on this CPU"
    own = [row for row in rows if row.jaxlib == version]
    fine = {row.configuration for row in rows if row.right}
    bad = [row for row in own if row.row.outcome in (Outcome.NONFINITE, Outcome.DISAGREES)]
    if wrong_only_here := [row.configuration for row in bad if row.configuration in fine]:
        return f"jaxlib {version} gives a wrong prediction with {' and '.join(wrong_only_here)}"
    if own and not any(row.right for row in own):
        return f"jaxlib {version} runs no configuration to its end"
    return ""


def _fastest(version: str, rows: Sequence[VersionRow]) -> VersionRow | None:
    own = [row for row in rows if row.jaxlib == version and row.right and row.row.time_s]
    return min(own, key=_median_s, default=None)


def _median_s(row: VersionRow) -> float:
    return math.inf if row.row.time_s is None else row.row.time_s.median
