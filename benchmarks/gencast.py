"""GenCast: its parts' times, memory and utilisation, and whether it is right."""

from __future__ import annotations

from benchmarks import parts, subjects, trials


class GenCastParts(parts.ModelParts):
    subject = subjects.GENCAST

    def setup_cache(self) -> parts.Measured:
        return trials.measure_in_turns(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S


class GenCastAnswers(parts.ModelAnswers):
    subject = subjects.GENCAST

    def setup_cache(self) -> list[trials.Record]:
        return trials.measure_guarded(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S


class GenCastRates(parts.ModelRates):
    subject = subjects.GENCAST

    def setup_cache(self) -> trials.Record:
        return trials.measure_observed(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S
