"""The knobs of a model on this machine: values, defaults, and why a value cannot be used here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from perfkit.knobs.allocators import missing_allocators
from perfkit.knobs.availability import why_not_here
from perfkit.knobs.configuration import Catalogue
from perfkit.knobs.host import this_host
from perfkit.knobs.installed_flags import installed_flags
from perfkit.knobs.knob import Host, Knob, Layer
from perfkit.knobs.parsers import allowed_text
from perfkit.models import DEFAULT_MODEL, get_model


class Scope(StrEnum):
    """What has to be made anew for another value of a knob."""

    PROCESS = "process"
    """The process: the value is an environment variable or an affinity."""
    PROGRAM = "program"
    """The traced program: the model applies the value, in any process."""
    COMPILATION = "compilation"
    """The compilation: the same traced program can be compiled with several values."""


@dataclass(frozen=True)
class KnobEntry:
    """A knob on a machine.

    Attributes
    ----------
    name, summary
        Name and one line of help.
    layer
        Where the knob takes effect.
    scope
        What has to be made anew for another value.
    default
        The value that a user gets who sets nothing.
    allowed
        The values that can be set, for a reader; None where they are not described.
    exact
        Whether no value can change the answer beyond rounding.
    worth_trying
        Values that a search tries on the machine, most promising first.
    not_here
        Values that a search tries on other machines -> why not on this one.
    """

    name: str
    summary: str
    layer: Layer
    scope: Scope
    default: str
    allowed: str | None
    exact: bool
    worth_trying: tuple[str, ...]
    not_here: Mapping[str, str]


@dataclass(frozen=True)
class KnobCatalogue:
    """The knobs of a model on a machine.

    Attributes
    ----------
    model
        Name of the model.
    host
        The machine.
    knobs
        The knobs, in the order in which a search tries them; those that it does not try come last.
    missing
        Sentences on allocators that are not installed.
    further_flags
        Name -> stock value of the other flags of the installed jaxlib; empty unless asked for.
    """

    model: str
    host: Host
    knobs: tuple[KnobEntry, ...]
    missing: tuple[str, ...]
    further_flags: Mapping[str, str] = field(default_factory=dict)


def knob_catalogue(
    model: str = DEFAULT_MODEL,
    *,
    all_flags: bool = False,
    host: Host | None = None,
    installed: Callable[[], Mapping[str, str]] = installed_flags,
) -> KnobCatalogue:
    """The knobs of a model on this machine. Neither JAX nor the model's package is needed.

    Parameters
    ----------
    model
        Name of the model.
    all_flags
        Whether to list all flags of the installed jaxlib, too. Their names are read once for each
        build of jaxlib, which takes a few seconds.
    host
        The machine; this one by default.
    installed
        Returns name and stock value of every flag of the installed jaxlib.

    Raises
    ------
    UserError
        There is no such model, or, with ``all_flags``, jaxlib is not installed.
    """
    chosen = get_model(model)
    machine = this_host() if host is None else host
    knobs = sorted(Catalogue(chosen.knobs), key=lambda knob: _order(knob, machine))
    known = {knob.name for knob in knobs}
    flags = installed() if all_flags else {}
    return KnobCatalogue(
        chosen.name,
        machine,
        tuple(knob_entry(knob, machine) for knob in knobs),
        missing_allocators(machine),
        {name: value for name, value in flags.items() if name not in known},
    )


def _order(knob: Knob, host: Host) -> tuple[bool, tuple[bool, bool, int], str]:
    if knob.search is None:
        return True, (True, True, 0), knob.name
    return False, knob.search.rank(host), knob.name


def knob_entry(knob: Knob, host: Host) -> KnobEntry:
    """A knob on a machine.

    Parameters
    ----------
    knob
        The knob.
    host
        The machine.
    """
    values = () if knob.search is None else knob.search.values
    reasons = {value: why_not_here(knob, value, host) for value in values}
    return KnobEntry(
        name=knob.name,
        summary=knob.summary,
        layer=knob.layer,
        scope=_scope(knob),
        default=knob.default,
        allowed=allowed_text(knob.parse),
        exact=knob.exact,
        worth_trying=tuple(value for value, reason in reasons.items() if reason is None),
        not_here={value: reason for value, reason in reasons.items() if reason is not None},
    )


def _scope(knob: Knob) -> Scope:
    if knob.layer is Layer.MODEL:
        return Scope.PROGRAM
    return Scope.COMPILATION if knob.per_compilation else Scope.PROCESS
