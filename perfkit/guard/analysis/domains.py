"""The table of the domain guard: which primitive has which domain, and where it can be left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jax.extend.core import JaxprEqn, Literal, Var

from perfkit.guard.analysis.structure import is_floating
from perfkit.guard.analysis.traits import Trait


@dataclasses.dataclass(frozen=True)
class Domain:
    """A closed interval; outside it, the primitive's first operand gives NaN.

    Attributes
    ----------
    low, high
        The edges; None means unbounded. An edge belongs to the domain even if the result is
        infinite there, as for ``log(0)``: the limit is the right answer.
    """

    low: float | None = None
    high: float | None = None

    @property
    def edges(self) -> tuple[float, ...]:
        """The edges that exist."""
        return tuple(edge for edge in (self.low, self.high) if edge is not None)

    @property
    def interior_point(self) -> float:
        """A number inside the domain at which all derivatives are finite."""
        if self.low is None:
            return 0.0
        return self.low + 1.0 if self.high is None else (self.low + self.high) / 2


DOMAINS = {
    "sqrt": Domain(low=0.0),
    "rsqrt": Domain(low=0.0),
    "log": Domain(low=0.0),
    "log2": Domain(low=0.0),
    "log1p": Domain(low=-1.0),
    "pow": Domain(low=0.0),
    "acos": Domain(low=-1.0, high=1.0),
    "asin": Domain(low=-1.0, high=1.0),
    "atanh": Domain(low=-1.0, high=1.0),
    "acosh": Domain(low=1.0),
    "erf_inv": Domain(low=-1.0, high=1.0),
}
"""Primitive -> domain of its first operand.

A power has a domain only for exponents that are not integers. Functions that JAX composes of
these (``log10``, ``xlogy``, ``logit``, ``entr``, norms, random normals) are guarded through them.
Division has no entry: a divisor that underflowed, or whose terms cancelled, does not determine
how large the quotient is, so there is no edge to move it to."""

FINITE_AT_ZERO = frozenset({"sqrt", "pow"})
"""Primitives whose operand may be set to zero if it is rounding. At a pole, zero would turn a
finite number into infinity: ``log`` of a small random draw must stay finite."""


def needs_lift(equation: JaxprEqn, operands: Sequence[Trait], zero_rounding: bool) -> bool:
    """Return whether rounding can take the first operand of an equation out of its domain.

    For example ``sqrt(a - b)`` needs a lift; ``sqrt(x * x)`` does not, nor does ``sqrt(a - b)`` if
    constants show that ``a`` is the larger.

    Parameters
    ----------
    equation
        Any equation.
    operands
        The traits of its operands.
    zero_rounding
        Whether the guard also zeroes differences that are positive only by rounding. Operands
        that cannot be negative because they were clamped then need a lift, too.
    """
    domain = DOMAINS.get(equation.primitive.name)
    operand = equation.invars[0] if equation.invars else None
    if domain is None or not isinstance(operand, Var) or not is_floating(operand):
        return False
    if equation.primitive.name == "pow" and _has_integer_exponent(equation):
        return False
    if zero_rounding and equation.primitive.name in FINITE_AT_ZERO:
        return operands[0].cancels
    if operands[0].within.is_within(domain.low, domain.high):
        return False
    if operands[0].nonnegative and domain.high is None:
        return domain.low is not None and domain.low > 0
    return operands[0].cancels or domain.low != 0.0


def _has_integer_exponent(equation: JaxprEqn) -> bool:
    exponent = equation.invars[1]
    if isinstance(exponent, Literal):
        return bool(float(exponent.val).is_integer())
    return not is_floating(exponent)
