"""What a search found, as plain data that needs no JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class ChangedAnswer:
    """The smallest range of the program whose answer differs between the sides.

    Attributes
    ----------
    module
        Module of the network; empty if its path does not reveal one.
    operations
        The operations of the range in order, a sentence each.
    old_hlo, new_hlo
        Operations of the optimised HLO of the range, by each side.
    iterations
        The loops around the range, outermost first: module path and iteration, from 0.
    call
        The call of the compiled function, from 0.
    distance
        Largest difference of an element, relative to the root mean square of the old result; None
        if a side has no result.
    tolerance
        Largest distance that rounding explains.
    verdict
        Which side is right, in a sentence.
    """

    module: str
    operations: tuple[str, ...]
    old_hlo: tuple[str, ...]
    new_hlo: tuple[str, ...]
    iterations: tuple[tuple[str, int], ...]
    call: int
    distance: float | None
    tolerance: float
    verdict: str

    def sentences(self) -> list[str]:
        """The finding in sentences for a person."""
        apart = "no result" if self.distance is None else f"relative difference {self.distance:.3g}"
        loops = "".join(f", iteration {number} of {path}" for path, number in self.iterations)
        return [
            f"the answer changes in module {self.module or 'unknown'}{loops}: {apart}, of which "
            f"rounding explains {self.tolerance:.2g}; {self.verdict}",
            *(f"  {sentence}" for sentence in self.operations),
        ]


@dataclasses.dataclass(frozen=True)
class SlowedModule:
    """The smallest range of a module that the new side runs slower.

    Attributes
    ----------
    module
        The module.
    operations
        The operations of the range in order, a sentence each; empty if no range alone is slower.
    old_hlo, new_hlo
        Operations of the optimised HLO of the range, by each side.
    old_s, new_s
        Median seconds of a run of the range.
    """

    module: str
    operations: tuple[str, ...] = ()
    old_hlo: tuple[str, ...] = ()
    new_hlo: tuple[str, ...] = ()
    old_s: float = 0.0
    new_s: float = 0.0

    def sentences(self) -> list[str]:
        """The finding in sentences for a person."""
        if not self.operations:
            return [f"{self.module}: no part of it is slower when it is compiled alone"]
        return [
            f"{self.module}: these operations alone take {self.new_s:.3g} s instead of "
            f"{self.old_s:.3g} s:",
            *(f"  {sentence}" for sentence in self.operations),
        ]


@dataclasses.dataclass(frozen=True)
class Located:
    """The result of a search.

    Attributes
    ----------
    answer
        Where the answer changes; None if that was not asked, or if no range shows it.
    slowed
        A finding for each module that was asked for.
    notes
        What could not be found and why, a sentence each.
    reproducers
        Folders with a program that shows a finding without perfkit.
    """

    answer: ChangedAnswer | None = None
    slowed: tuple[SlowedModule, ...] = ()
    notes: tuple[str, ...] = ()
    reproducers: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """The result in sentences for a person."""
        found: list[ChangedAnswer | SlowedModule] = [*self.slowed]
        if self.answer is not None:
            found.insert(0, self.answer)
        sentences = []
        for each in found:
            sentences += each.sentences()
            if each.operations:
                sentences += hlo_sentences(each.old_hlo, each.new_hlo)
        sentences += [f"note: {note}" for note in self.notes]
        sentences += [
            f"to reproduce it with JAX and NumPy alone: python {folder}/reproduce.py"
            for folder in self.reproducers
        ]
        return sentences

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Located:
        """The result that :meth:`as_dict` gave as plain data."""
        answer = plain["answer"]
        return cls(
            None if answer is None else _changed(answer),
            tuple(_slowed(each) for each in plain["slowed"]),
            tuple(plain["notes"]),
            tuple(plain["reproducers"]),
        )


def hlo_sentences(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The operations of two optimised programs for the same part, a sentence each."""
    return [
        f"  optimised HLO before: {', '.join(old) or 'none'}",
        f"  optimised HLO now:    {', '.join(new) or 'none'}",
    ]


_LISTS = ("operations", "old_hlo", "new_hlo")


def _changed(plain: Mapping[str, Any]) -> ChangedAnswer:
    loops = tuple((path, number) for path, number in plain["iterations"])
    lists = {name: tuple(plain[name]) for name in _LISTS}
    return ChangedAnswer(**{**plain, **lists, "iterations": loops})


def _slowed(plain: Mapping[str, Any]) -> SlowedModule:
    return SlowedModule(**{**plain, **{name: tuple(plain[name]) for name in _LISTS}})
