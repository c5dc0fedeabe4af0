"""GenCast: its parts' times, memory and utilisation, and whether it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import parts, subjects, trials
from benchmarks.attributes import attributes

if TYPE_CHECKING:
    from perfkit.records.schema import Record


class GenCastParts(parts.ModelParts):
    subject = subjects.GENCAST

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> parts.Measured:
        return trials.measure_in_turns(self.subject, parts.STORE)


class GenCastAnswers(parts.ModelAnswers):
    subject = subjects.GENCAST

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> list[Record]:
        return trials.measure_guarded(self.subject, parts.STORE)


class GenCastRates(parts.ModelRates):
    subject = subjects.GENCAST

    @attributes(timeout=parts.SETUP_TIMEOUT_S)
    def setup_cache(self) -> Record:
        return trials.measure_observed(self.subject, parts.STORE)
