"""AlphaFold 3: its parts' times, memory and utilisation, and whether it is right."""

from __future__ import annotations

from benchmarks import parts, subjects, trials


class AlphaFold3Parts(parts.ModelParts):
    subject = subjects.AF3

    def setup_cache(self) -> parts.Measured:
        return trials.measure_in_turns(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S


class AlphaFold3Answers(parts.ModelAnswers):
    subject = subjects.AF3

    def setup_cache(self) -> list[trials.Record]:
        return trials.measure_guarded(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S


class AlphaFold3Rates(parts.ModelRates):
    subject = subjects.AF3

    def setup_cache(self) -> trials.Record:
        return trials.measure_observed(self.subject, parts.STORE)

    setup_cache.timeout = parts.SETUP_TIMEOUT_S
