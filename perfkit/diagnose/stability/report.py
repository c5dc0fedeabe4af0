"""The stability report: does the answer depend on how the program was compiled?

Each row shows, for one setting, what the guard did, whether the answer is finite and whether it
agrees with the reference. The verdict summarises all rows in one sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from perfkit.answers.agreement import AgreementClass
from perfkit.diagnose.stability.settings import Setting
from perfkit.models.workload import Workload
from perfkit.records.schema import Outcome, Record


@dataclasses.dataclass(frozen=True)
class StabilityRow:
    """The result of one setting.

    Attributes
    ----------
    setting
        Name of the setting.
    record
        Id of the trial's record.
    outcome
        Outcome of the trial.
    lifted, zeroed
        Number of elements that the guard lifted and zeroed; None if the trial ended before the
        guard reported.
    bad_elements
        Number of elements of all outputs that are NaN or infinite; None if the outputs were not
        checked.
    agreement
        Agreement class of the answer; None if it was not compared.
    distance
        Largest distance of any compared quantity, dimensionless; None if none was measured.
    distances
        Distance of each compared quantity, by name; None if it could not be measured.
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
        """Return the row as plain data for JSON."""
        return dataclasses.asdict(self)


def stability_row(setting: Setting, record: Record) -> StabilityRow:
    """Return the row of a setting from the record of its trial."""
    guard, finite, agreement = record.guard, record.finite, record.agreement
    quantities = () if agreement is None else agreement.quantities
    distances = {quantity.name: quantity.distance for quantity in quantities}
    measured = [distance for distance in distances.values() if distance is not None]
    return StabilityRow(
        setting=setting.name,
        record=record.id,
        outcome=record.outcome,
        lifted=None if guard is None else guard.lifted,
        zeroed=None if guard is None else guard.zeroed,
        bad_elements=None if finite is None else finite.bad,
        agreement=None if agreement is None else agreement.reached,
        distance=max(measured, default=None),
        distances=distances,
    )


def is_stable(row: StabilityRow) -> bool:
    """Return whether the answer of a setting is finite and agrees with the reference."""
    return _fault(row) is None


def verdict(rows: Sequence[StabilityRow]) -> str:
    """Return one sentence about all rows: which settings change the answer."""
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


def stability_as_dict(workload: Workload, rows: Sequence[StabilityRow]) -> dict[str, Any]:
    """Return a stability report as plain data for JSON, with the effects of the remedies."""
    from perfkit.diagnose.remedies import compare_remedies

    return {
        "workload": workload.as_dict(),
        "settings": [row.as_dict() for row in rows],
        "verdict": verdict(rows),
        "remedies": [remedy.as_dict() for remedy in compare_remedies()],
    }


_NOT_FINITE, _DISAGREES, _NOT_COMPARED = "not finite", "another answer", "not compared"
_NO_ANSWER = {
    outcome.value: f"no answer ({outcome.value.replace('_', ' ')})"
    for outcome in Outcome
    if outcome not in (Outcome.OK, Outcome.NONFINITE, Outcome.DISAGREES)
}
_FAULTS = (_NOT_FINITE, _DISAGREES, *_NO_ANSWER.values(), _NOT_COMPARED)


def _fault(row: StabilityRow) -> str | None:
    """Return what is wrong with a row, from everything that the table shows; None if nothing."""
    if row.outcome in _NO_ANSWER:
        return _NO_ANSWER[row.outcome]
    if row.outcome == Outcome.NONFINITE or row.bad_elements:
        return _NOT_FINITE
    if row.outcome == Outcome.DISAGREES or row.agreement == AgreementClass.NONE.label:
        return _DISAGREES
    return _NOT_COMPARED if row.agreement is None else None


def _names(rows: Sequence[StabilityRow]) -> str:
    return ", ".join(row.setting for row in rows)
