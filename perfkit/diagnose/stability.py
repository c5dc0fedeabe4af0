"""The stability report: one workload under a matrix of compiler settings, guarded and checked.

Which settings, and what their trials say together. Running the trials is not done here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perfkit.answers.agreement import AgreementClass
from perfkit.knobs.knob import Knob
from perfkit.records.schema import Outcome


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row of the matrix.

    Attributes
    ----------
    name
        What a person calls it.
    knobs
        Knob values that differ from stock.
    why
        What it tells beside the others.
    """

    name: str
    knobs: Mapping[str, str]
    why: str


COMPILER_SETTINGS = (
    Setting("stock", {}, "what a user gets who sets nothing"),
    Setting(
        "no fused multiply-add",
        {"xla_cpu_max_isa": "AVX"},
        "AVX has none: products are rounded before they are subtracted",
    ),
    Setting(
        "not fused",
        {"xla_disable_hlo_passes": "fusion"},
        "each operation is rounded on its own, except inside of loops",
    ),
    Setting(
        "optimisation level 0", {"xla_backend_optimization_level": "0"}, "LLVM contracts nothing"
    ),
    Setting(
        "optimisation level 1", {"xla_backend_optimization_level": "1"}, "the first that contracts"
    ),
    Setting(
        "no excess precision",
        {"xla_allow_excess_precision": "false"},
        "bfloat16 intermediates are rounded where the program says so",
    ),
)
"""Settings that change how a program is rounded, but not what it means."""


def precisions_of(
    knobs: Iterable[Knob], reference_values: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """The precisions of a model, as :func:`stability_settings` takes them.

    Parameters
    ----------
    knobs
        The model's own.
    reference_values
        What its reference is made with, which names its knob of precision.
    """
    return {
        f"{knob.name}={value}": {knob.name: value}
        for knob in knobs
        if knob.name in reference_values
        for value in knob.values
    }


def stability_settings(precisions: Mapping[str, Mapping[str, str]]) -> tuple[Setting, ...]:
    """The matrix: every compiler setting in every precision.

    Parameters
    ----------
    precisions
        What a person calls a precision -> the knob values of the model that give it.
    """
    return tuple(
        Setting(f"{setting.name}, {precision}", {**setting.knobs, **knobs}, setting.why)
        for precision, knobs in precisions.items()
        for setting in COMPILER_SETTINGS
    )


@dataclasses.dataclass(frozen=True)
class StabilityRow:
    """What the trial of one setting says.

    Attributes
    ----------
    setting
        The setting's name.
    record
        Id of the trial's record.
    outcome
        The trial's outcome.
    lifted, zeroed
        Elements that the guard touched; None where the trial ran without guard.
    bad_elements
        Elements of all outputs that are NaN or infinite; None where it never came to that.
    agreement
        The class reached against the reference; None where nothing was compared.
    distance
        The largest distance of any compared quantity, without unit; None as above.
    distances
        The distance of each, by name; None for what cannot be measured.
    """

    setting: str
    record: str
    outcome: str
    lifted: int | None
    zeroed: int | None
    bad_elements: int | None
    agreement: str | None
    distance: float | None
    distances: Mapping[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """The row as plain data for JSON."""
        return dataclasses.asdict(self)


def stability_row(
    setting: Setting,
    record: str,
    outcome: str,
    guard: Mapping[str, Any] | None,
    finite: Mapping[str, Any] | None,
    agreement: Mapping[str, Any] | None,
) -> StabilityRow:
    """One row, from the plain forms that stand in a record.

    Parameters
    ----------
    setting
        The setting of the trial.
    record
        Id of its record.
    outcome
        The trial's outcome.
    guard
        :meth:`perfkit.guard.guarded_jit.Ledger.as_dict`, or None.
    finite
        :meth:`perfkit.answers.finite.FiniteReport.as_dict`, or None.
    agreement
        :meth:`perfkit.answers.agreement.Agreement.as_dict`, or None.
    """
    distances: dict[str, float | None] = {
        quantity["name"]: quantity["distance"]
        for quantity in (agreement or {}).get("quantities", ())
    }
    return StabilityRow(
        setting=setting.name,
        record=record,
        outcome=outcome,
        lifted=None if guard is None else guard["lifted"],
        zeroed=None if guard is None else guard["zeroed"],
        bad_elements=None if finite is None else sum(leaf["bad"] for leaf in finite["leaves"]),
        agreement=None if agreement is None else agreement["class"],
        distance=max((one for one in distances.values() if one is not None), default=None),
        distances=distances,
    )


def is_stable(row: StabilityRow) -> bool:
    """Whether a setting gave an answer that is finite and was found to agree."""
    return _fault(row) is None


def verdict(rows: Sequence[StabilityRow]) -> str:
    """One sentence on all rows: whether the answer depends on how it was compiled."""
    if not rows:
        return "no setting was tried"
    faults = [(_fault(row), row) for row in rows]
    found = dict.fromkeys(fault for fault, _ in faults if fault is not None)
    parts = [
        f"{fault} under {_names([row for of_row, row in faults if of_row == fault])}"
        for fault in sorted(found, key=_FAULTS.index)
    ]
    if not parts:
        count = len(rows)
        parts.append(
            f"finite and in agreement under all {count} settings"
            if count > 1
            else f"finite and in agreement under the only setting, {rows[0].setting}"
        )
    touched = [row for row in rows if row.lifted or row.zeroed]
    if touched:
        parts.append(f"the guard was needed under {_names(touched)}")
    return "; ".join(parts)


_NOT_FINITE, _DISAGREES, _NOT_COMPARED = "not finite", "another answer", "not compared"
_NO_ANSWER = {
    outcome.value: f"no answer ({outcome.value.replace('_', ' ')})"
    for outcome in Outcome
    if outcome not in (Outcome.OK, Outcome.NONFINITE, Outcome.DISAGREES)
}
_FAULTS = (_NOT_FINITE, _DISAGREES, *_NO_ANSWER.values(), _NOT_COMPARED)


def _fault(row: StabilityRow) -> str | None:
    """What is wrong with a row, by everything that the table shows of it; None for nothing."""
    if row.outcome in _NO_ANSWER:
        return _NO_ANSWER[row.outcome]
    if row.outcome == Outcome.NONFINITE or row.bad_elements:
        return _NOT_FINITE
    if row.outcome == Outcome.DISAGREES or row.agreement == AgreementClass.NONE.label:
        return _DISAGREES
    return _NOT_COMPARED if row.agreement is None else None


def _names(rows: Sequence[StabilityRow]) -> str:
    return ", ".join(row.setting for row in rows)
