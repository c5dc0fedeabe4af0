"""Publicly known faults of jaxlib versions and XLA flags, each with its reference."""

from __future__ import annotations

import dataclasses
import shlex

from perfkit.packages import Version, parse_version


@dataclasses.dataclass(frozen=True)
class Advisory:
    """A known fault.

    Attributes
    ----------
    fault
        What goes wrong, in a sentence.
    reference
        The report of the fault.
    first, last
        First and last jaxlib version in which the fault is known; None means unbounded.
    flag
        Name of the XLA flag that the fault needs; empty if it needs none.
    values
        Values of the flag under which the fault occurs; empty for any value.
    shown_by
        Name of the known-answer program that shows the fault; empty if there is none.
    remedy
        What to do.
    """

    fault: str
    reference: str
    first: Version | None = None
    last: Version | None = None
    flag: str = ""
    values: tuple[str, ...] = ()
    shown_by: str = ""
    remedy: str = ""

    def applies(self, version: Version, flags: dict[str, str]) -> bool:
        """Return whether the fault is known of a jaxlib version under these XLA flags."""
        if self.first is not None and version < self.first:
            return False
        if self.last is not None and version[: len(self.last)] > self.last:
            return False
        if not self.flag:
            return True
        return self.flag in flags and (not self.values or flags[self.flag] in self.values)


_ANOTHER_JAXLIB = "use another jaxlib"

ADVISORIES: tuple[Advisory, ...] = (
    Advisory(
        "a vmapped matrix-vector product followed by a reduction gives wrong finite numbers",
        "jax issue 39103",
        (0, 10, 2),
        (0, 10, 2),
        shown_by="matrix_vector_reduction",
        remedy=_ANOTHER_JAXLIB,
    ),
    Advisory(
        "arctan is wrong for arrays of 50 elements and more on some CPUs",
        "jax issue 39352",
        (0, 10, 2),
        (0, 10, 2),
        shown_by="arctan",
        remedy=_ANOTHER_JAXLIB,
    ),
    Advisory(
        "reductions of rank 7 and 8 crash or hang in __ynn_fusion",
        "jax issues 39257 and 40412",
        (0, 10, 2),
        (0, 11, 0),
        shown_by="high_rank_reductions",
        remedy="use another jaxlib, or --xla_cpu_experimental_ynn_fusion_type= (empty)",
    ),
    Advisory(
        "exp(x * nan) is not NaN under jit",
        "jax issue 29537 (0.6.2); seen in 0.10.2 with perfkit's own program",
        (0, 6, 2),
        (0, 10, 2),
        shown_by="exp_of_nan",
        remedy=_ANOTHER_JAXLIB,
    ),
    Advisory(
        "wrong results on CPU",
        "jax issue 23590",
        (0, 4, 32),
        (0, 4, 32),
        remedy=_ANOTHER_JAXLIB,
    ),
    Advisory(
        "wrong results on CPU",
        "jax issue 7229",
        (0, 1, 68),
        (0, 1, 68),
        remedy=_ANOTHER_JAXLIB,
    ),
    Advisory(
        "the persistent compilation cache never hits on some CPUs",
        "jax issue 38445, xla issue 44565",
        (0, 9, 1),
        (0, 10, 1),
        remedy="expect that every process compiles again",
    ),
    Advisory(
        "fast math lets the compiler assume that NaN and infinity cannot happen",
        "XLA's flag documentation",
        flag="xla_cpu_enable_fast_math",
        values=("true", "1", ""),
        shown_by="nan_propagation",
        remedy="leave xla_cpu_enable_fast_math off",
    ),
)


def parse_xla_flags(text: str) -> dict[str, str]:
    """Return the flags in a text like ``XLA_FLAGS``, by name; values are in lower case."""
    flags = {}
    for part in shlex.split(text):
        name, _, value = part.removeprefix("--").partition("=")
        flags[name] = value.lower()
    return flags


def advisories_for(jaxlib_version: str, xla_flags: str) -> tuple[Advisory, ...]:
    """Return the advisories that apply to a jaxlib version under ``XLA_FLAGS``."""
    version, flags = parse_version(jaxlib_version), parse_xla_flags(xla_flags)
    return tuple(advisory for advisory in ADVISORIES if advisory.applies(version, flags))
