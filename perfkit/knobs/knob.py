"""One thing that can be set, the values it may have, and how a search tries them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from perfkit.errors import UserError, quoted
from perfkit.knobs.parsers import Parser, any_text

type CompilerOption = bool | int | float | str
"""A value of ``compiler_options``, as JAX's ``compile`` takes it."""


class Layer(StrEnum):
    """Where a knob takes effect."""

    XLA = "xla"
    CPUS = "cpus"
    ALLOCATOR = "allocator"
    MODEL = "model"
    PACKAGES = "packages"
    """Another version of a package, in an environment of its own."""


class Bundle(StrEnum):
    """Knobs whose first values are also tried together, in one step."""

    MAJOR = "major"
    """Knobs with large gains. They are tried first, because every later pass becomes cheaper, and
    together, because each pass of stock is expensive."""
    MINOR = "minor"
    """Knobs that gained a few percent on every machine that perfkit was tuned on. Together they
    stand out of the noise."""


@dataclass(frozen=True)
class Host:
    """The properties of a machine that decide whether a value can make a difference.

    Attributes
    ----------
    instruction_sets
        Names as in the flags of ``/proc/cpuinfo``, e.g. ``avx512f``.
    cpus
        Number of CPUs that this process may use.
    allocators
        Names of the installed allocators, see :data:`perfkit.knobs.allocators.ALLOCATORS`.
    """

    instruction_sets: frozenset[str]
    cpus: int
    allocators: frozenset[str]


def everywhere(value: str, host: Host) -> bool:
    """True: the value can make a difference on every machine."""
    return True


def no_reason(value: str, host: Host) -> None:
    """None: every machine can use the value."""


@dataclass(frozen=True)
class Search:
    """How a search tries the values of a knob.

    Attributes
    ----------
    values
        Values worth trying in addition to the default, most promising first.
    order
        Knobs are tried in ascending order, by what they have been seen to gain; a short budget is
        spent on the first ones.
    bundle
        Knobs that are also tried in one step with this one.
    first_with
        Instruction sets. A CPU that has any of them tries this knob first of its bundle.
    useful
        Whether a value can make a difference on a machine.
    memory_ratio
        Peak memory with any of the values over that with the default, where it was seen to be
        larger: a change that costs memory has to gain more. Screening cannot measure it, because
        programs share a process.
    """

    values: tuple[str, ...]
    order: int
    bundle: Bundle | None = None
    first_with: frozenset[str] = frozenset()
    useful: Callable[[str, Host], bool] = field(default=everywhere, compare=False)
    memory_ratio: float = 1.0

    def rank(self, host: Host) -> tuple[bool, bool, int]:
        """Sort key of the order in which the knobs are tried on ``host``."""
        promoted = not self.first_with.isdisjoint(host.instruction_sets)
        return self.bundle is not Bundle.MAJOR, not promoted, self.order


@dataclass(frozen=True)
class Knob:
    """A named setting.

    Attributes
    ----------
    name
        The name that a user writes, e.g. ``allocator`` or ``xla_cpu_use_onednn``.
    default
        The value that a user gets who sets nothing.
    layer
        Where the knob takes effect.
    exact
        Whether no value can change the answer beyond rounding.
    summary
        One line of help.
    parse
        Turns what a user wrote into the canonical text of the value, or raises ``ValueError``
        with what is allowed.
    search
        How a search tries the knob, or None for a knob that is set only by name.
    option
        For an XLA flag that is also an option of a single compilation: turns a canonical value
        into what ``compiler_options`` of JAX's ``compile`` takes, or into None if that value is
        possible only for a whole process. None for every other knob.
    why_not
        Why a machine cannot use a value: a clause without a full stop, None if it can. The machine
        is this one, as far as the host does not describe it. By default, every machine can use
        every value, as far as the knob decides.
    """

    name: str
    default: str
    layer: Layer
    exact: bool
    summary: str
    parse: Parser = field(default=any_text, compare=False)
    search: Search | None = None
    option: Callable[[str], CompilerOption | None] | None = field(default=None, compare=False)
    why_not: Callable[[str, Host], str | None] = field(default=no_reason, compare=False)

    @property
    def per_compilation(self) -> bool:
        """Whether one process can compile a program with several values of the knob."""
        return self.option is not None

    @property
    def values(self) -> tuple[str, ...]:
        """The default and the values worth trying, without duplicates."""
        return (self.default, *(self.search.values if self.search is not None else ()))

    def canonical(self, value: str) -> str:
        """The canonical text of ``value``.

        Raises
        ------
        UserError
            The value is impossible; the message names the knob and what is allowed.
        """
        try:
            return self.parse(value.strip())
        except ValueError as error:
            raise UserError(f"knob {self.name!r} cannot be {quoted(value)}: {error}") from error
