"""Finds the XLA flags, or the other jaxlib, under which a wrong answer is right on this CPU.

Nothing is looked up: every remedy is a run of the same programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from perfkit.diagnose.diagnosis import Diagnosis
from perfkit.diagnose.examiner import NotStartedError, Setup, examine_setup
from perfkit.errors import UserError

REPEATS = 2
"""Further runs that must confirm a remedy: some faults return uninitialised memory, which can be
right by chance."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """XLA flags that may mend a wrong answer.

    Attributes
    ----------
    flags
        The flags, as in ``XLA_FLAGS``.
    effect
        What they do.
    drastic
        Whether they turn off an optimisation that every model depends on. Such flags are reported,
        but not recommended.
    """

    flags: str
    effect: str
    drastic: bool = False


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("--xla_cpu_enable_fast_math=false", "NaN and infinity may happen"),
    Candidate("--xla_cpu_experimental_ynn_fusion_type=", "nothing is fused for the YNN library"),
    Candidate("--xla_cpu_use_xnnpack=false", "nothing runs through XNNPACK"),
    Candidate("--xla_cpu_use_onednn=false", "nothing runs through oneDNN"),
    Candidate("--xla_cpu_prefer_vector_width=256", "LLVM prefers vectors of 256 bits"),
    Candidate("--xla_cpu_max_isa=AVX2", "no AVX-512 and no AMX instructions"),
    Candidate("--xla_cpu_max_isa=AVX", "no fused multiply-add, nothing newer than AVX"),
    Candidate("--xla_cpu_use_fusion_emitters=false", "the former code generator of fusions"),
    Candidate("--xla_backend_optimization_level=1", "LLVM's optimisation level is 1 instead of 3"),
    Candidate("--xla_backend_optimization_level=0", "LLVM optimises nothing", drastic=True),
    Candidate("--xla_disable_hlo_passes=fusion", "XLA fuses no operations", drastic=True),
)
"""Flags in order of preference, those that cost least first. A jaxlib need not know them all."""

type Examine = Callable[[Setup, Sequence[str]], Diagnosis]
"""Runs the programs of these names (all for none) under a setup."""


@dataclasses.dataclass(frozen=True)
class Mending:
    """The wrong answers that a candidate mends.

    Attributes
    ----------
    candidate
        The flags.
    mends
        Names of the programs whose answers are right under them, in every run.
    """

    candidate: Candidate
    mends: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Remedies:
    """Result of the search for flags.

    Attributes
    ----------
    tried
        Candidates that this jaxlib accepts, in the order of :data:`CANDIDATES`.
    flags
        Flags to add to ``XLA_FLAGS``; empty if none help.
    under_flags
        Diagnosis of all programs under these flags; None without flags.
    """

    tried: tuple[Mending, ...]
    flags: str = ""
    under_flags: Diagnosis | None = None

    def mending(self, name: str) -> tuple[Candidate, ...]:
        """The candidates that mend the answer of a program."""
        return tuple(each.candidate for each in self.tried if name in each.mends)

    def as_dict(self) -> dict[str, object]:
        """Return the result as plain data for JSON."""
        return {
            "tried": [
                {**dataclasses.asdict(each.candidate), "mends": list(each.mends)}
                for each in self.tried
            ],
            "flags": self.flags,
            "wrong_under_flags": (
                None if self.under_flags is None else list(self.under_flags.wrong_names)
            ),
        }


@dataclasses.dataclass(frozen=True)
class OtherJaxlib:
    """The answers of another environment on this CPU.

    Attributes
    ----------
    python
        Its Python.
    diagnosis
        Its diagnosis; None if it does not start.
    reason
        Why it does not start; empty if it does.
    """

    python: Path
    diagnosis: Diagnosis | None
    reason: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the answers as plain data for JSON."""
        found = None if self.diagnosis is None else self.diagnosis.as_dict()
        return {"python": str(self.python), "diagnosis": found, "reason": self.reason}


def find_remedies(
    setup: Setup,
    diagnosis: Diagnosis,
    candidates: Sequence[Candidate] = CANDIDATES,
    *,
    examine: Examine = examine_setup,
    progress: Callable[[str], object] = lambda line: None,
) -> Remedies:
    """Run the programs with wrong answers under candidate flags.

    Parameters
    ----------
    setup
        The setup that was examined.
    diagnosis
        Its diagnosis.
    candidates
        Flags to try, in order of preference.
    examine
        Runs programs under a setup.
    progress
        Receives one line for each candidate.

    Returns
    -------
    Remedies
        Flags are recommended only if fewer answers are wrong under them, and no other ones.
    """
    tried = []
    for candidate in candidates:
        progress(f"trying {candidate.flags}")
        mends = _mended(setup.with_flags(candidate.flags), diagnosis.wrong_names, examine)
        if mends is not None:
            tried.append(Mending(candidate, mends))
    before = set(diagnosis.wrong_names)
    for flags in _proposals(tried):
        progress(f"running all programs under {flags}")
        after = examine(setup.with_flags(flags), ())
        if set(after.wrong_names) < before:
            return Remedies(tuple(tried), flags, after)
    return Remedies(tuple(tried))


def examine_others(
    setup: Setup, pythons: Sequence[Path], *, examine: Examine = examine_setup
) -> tuple[OtherJaxlib, ...]:
    """Run all programs with the jaxlib of other environments.

    Parameters
    ----------
    setup
        The setup to examine them under, except for its Python.
    pythons
        The Pythons of the environments.
    examine
        Runs programs under a setup.
    """
    found = []
    # These variables lead to packages of this Python.
    own = ("PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in setup.environment.items() if name not in own}
    for python in pythons:
        other = dataclasses.replace(setup, python=python, environment=environment)
        try:
            diagnosis = examine(other, ())
            found.append(OtherJaxlib(python, diagnosis))
        except (OSError, UserError) as error:
            found.append(OtherJaxlib(python, None, str(error)))
    return tuple(found)


def _mended(setup: Setup, names: Sequence[str], examine: Examine) -> tuple[str, ...] | None:
    """Programs that are right in every run; None if XLA refuses the flags."""
    left = tuple(names)
    try:
        for _ in range(1 + REPEATS):
            if left:
                wrong = examine(setup, left).wrong_names
                left = tuple(name for name in left if name not in wrong)
    except NotStartedError:
        return None
    return left


def _proposals(tried: Sequence[Mending]) -> Iterator[str]:
    """Flags to recommend if all programs confirm them, the most useful first."""
    gentle = [each for each in tried if each.mends and not each.candidate.drastic]
    chosen: list[str] = []
    left = {name for each in gentle for name in each.mends}
    while left:
        # The first of several equally useful candidates costs least.
        best = max(gentle, key=lambda each: len(left & set(each.mends)))
        chosen.append(best.candidate.flags)
        left -= set(best.mends)
    if chosen:
        yield " ".join(chosen)
    for each in sorted(gentle, key=lambda each: -len(each.mends)):
        if len(chosen) > 1 or each.candidate.flags not in chosen:
            yield each.candidate.flags
