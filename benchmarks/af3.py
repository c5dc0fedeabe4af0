"""AlphaFold 3: its parts' times, memory and utilisation, and whether it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import parts, subjects, trials
from benchmarks.attributes import attributes

if TYPE_CHECKING:
    from perfkit.records.schema import Record


class AlphaFold3Parts(parts.ModelParts):
    subject = subjects.AF3

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> parts.Measured:
        return trials.measure_in_turns(self.subject, parts.STORE)


class AlphaFold3Answers(parts.ModelAnswers):
    subject = subjects.AF3

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> list[Record]:
        return trials.measure_guarded(self.subject, parts.STORE)


class AlphaFold3Rates(parts.ModelRates):
    subject = subjects.AF3

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> Record:
        return trials.measure_observed(self.subject, parts.STORE)
