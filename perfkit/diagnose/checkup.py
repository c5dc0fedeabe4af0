"""The whole result of ``perfkit doctor``, and its verdict in one line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.diagnose.diagnosis import Diagnosis
from perfkit.diagnose.environment_found import Fact
from perfkit.diagnose.mending import OtherJaxlib, Remedies
from perfkit.diagnose.models_found import ModelFound
from perfkit.diagnose.noise_look import NoiseLook
from perfkit.units import count_text


@dataclass(frozen=True)
class Checkup:
    """What the doctor found.

    Attributes
    ----------
    diagnosis
        Answers of the known-answer programs, and known faults.
    environment
        Facts about the environment.
    models
        The models, and whether they start.
    remedies
        Flags that mend wrong answers; None if none is wrong or no search was made.
    others
        Answers of other environments.
    noise
        Noise of the machine; None if it was not measured.
    """

    diagnosis: Diagnosis
    environment: tuple[Fact, ...] = ()
    models: tuple[ModelFound, ...] = ()
    remedies: Remedies | None = None
    others: tuple[OtherJaxlib, ...] = ()
    noise: NoiseLook | None = None

    @property
    def verdict(self) -> str:
        """What to do, in one line."""
        found, count = self.diagnosis, len(self.diagnosis.answers)
        if found.healthy:
            answers = f"all {count} answers of jaxlib {found.jaxlib_version} are right on this CPU"
            return f"verdict: {'; '.join([*self._fit(), *self._unfit(), answers, *self._noise()])}"
        wrong = (
            f"jaxlib {found.jaxlib_version} gives {len(found.wrong)} of "
            f"{count_text(count, 'answer')} wrong on this CPU"
        )
        return f"verdict: {'; '.join([wrong, *self._what_mends(), *self._unfit()])}"

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain data for JSON."""
        return {
            **self.diagnosis.as_dict(),
            "verdict": self.verdict,
            "environment": [fact.as_dict() for fact in self.environment],
            "models": [model.as_dict() for model in self.models],
            "remedies": None if self.remedies is None else self.remedies.as_dict(),
            "other_jaxlibs": [other.as_dict() for other in self.others],
            "noise": None if self.noise is None else self.noise.as_dict(),
        }

    def _fit(self) -> list[str]:
        names = [model.name for model in self.models if model.starts]
        return [f"fit to run {' and '.join(names)}"] if names else []

    def _unfit(self) -> list[str]:
        return [
            f"{model.name} does not start ({model.refusal})"
            for model in self.models
            if not model.starts
        ]

    def _noise(self) -> list[str]:
        return ["times are noisy here"] if self.noise is not None and self.noise.noisy else []

    def _what_mends(self) -> list[str]:
        right = [
            f"jaxlib {other.diagnosis.jaxlib_version} of {other.python} gives all of them right"
            for other in self.others
            if other.diagnosis is not None and other.diagnosis.healthy
        ]
        if self.remedies is None:
            return right
        left = self.diagnosis.wrong_names
        sentences = []
        if self.remedies.under_flags is not None:
            left = self.remedies.under_flags.wrong_names
            mended = len(self.diagnosis.wrong) - len(left)
            value = " ".join(filter(None, [self.diagnosis.xla_flags, self.remedies.flags]))
            sentences.append(f"set XLA_FLAGS={shlex.quote(value)}: it mends {mended}")
        if left:
            sentences.append(f"no recommended flag mends {_listed(left)}")
            sentences += [] if right else ["use another jaxlib"]
        return [*sentences, *right]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
