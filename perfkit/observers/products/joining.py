"""Joins the products of a traced program to the operations of a traced pass that computed them.

A product is found by the path of its operation, its FLOPs and the size of its result. The compiler
drops the path of some products; these are found by FLOPs and size alone. The time of an operation
with several products is divided among them by FLOPs.

XLA starts some operations and goes on with the next ones while threads of its pool still compute
them. In the trace, such an operation ends when it has been started, and its time is part of those
that follow. It shows as a rate that the machine cannot reach.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from perfkit.observers.products.counting import CountedProduct, plain_path
from perfkit.observers.products.product import Product
from perfkit.observers.trace.attribution import Span
from perfkit.observers.trace.hlo import Cost, HloModule, Kind

type Key = tuple[str, float, int]
"""Path, FLOPs and number of elements of the result of a product."""

CUSTOM_CALL = "custom-call"

HIGHEST_RATE = 1.25
"""Rate of a product, relative to the ceiling of its type, above which its time is not its own. The
ceilings are measured, and single products exceed them by up to 16 %."""


@dataclass
class Use:
    """The use of one shape of product in a pass.

    Attributes
    ----------
    product
        The shape.
    times
        How often a pass computes it.
    found
        How many of these were found in the trace with a time of their own.
    beside
        How many were found, but computed while the trace shows other operations.
    seconds
        Wall seconds of the traced pass in the operations that compute those.
    modules
        FLOPs by module of the model.
    assumed
        Number of equations whose number of runs neither the program nor the trace states.
    """

    product: Product
    times: int = 0
    found: int = 0
    beside: int = 0
    seconds: float = 0.0
    modules: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    assumed: int = 0


@dataclass
class _Seen:
    seconds: float = 0.0
    runs: int = 0


def uses_of(
    counted: Iterable[CountedProduct],
    spans: Iterable[Span],
    program: HloModule,
    module_of: Callable[[str], str | None],
    unnamed: str,
    flops_per_s: Callable[[str], float],
    *,
    complete: bool = True,
) -> list[Use]:
    """The uses of every shape in a pass.

    Parameters
    ----------
    counted
        Products of the traced program.
    spans
        Spans of the traced pass; empty without one.
    program
        The optimised program that ran.
    module_of
        Module of the model for a path; None where it is unknown.
    unnamed
        Name for an unknown module.
    flops_per_s
        Highest rate of the machine for a type, see :attr:`Product.ceiling_type`.
    complete
        Whether the spans are the whole pass. Otherwise they do not show how often a product ran.
    """
    entries = list(counted)
    seen = _seen_by_key(spans, program)
    in_program = _keys_of(program)
    groups: dict[Key, list[CountedProduct]] = defaultdict(list)
    for one in entries:
        groups[_key_in(one, in_program)].append(one)
    uses: dict[Product, Use] = {}
    for key, members in groups.items():
        found = seen.get(key)
        ran = complete and key in in_program and bool(seen)
        times = _times(members, 0 if found is None else found.runs) if ran else None
        weights = [
            count * one.product.flop
            for count, one in zip(times or [one.times for one in members], members, strict=True)
        ]
        whole = sum(weights)
        least_s = sum(
            weight / flops_per_s(one.product.ceiling_type)
            for weight, one in zip(weights, members, strict=True)
        )
        beside = found is not None and found.seconds * HIGHEST_RATE < least_s
        for place, one in enumerate(members):
            use = uses.setdefault(one.product, Use(one.product))
            own = one.times if times is None else times[place]
            use.times += own
            use.assumed += times is None and not one.certain and own > 0
            use.modules[module_of(one.path) or unnamed] += own * one.product.flop
            if beside:
                use.beside += own
            elif found is not None and whole:
                share = weights[place] / whole
                use.seconds += found.seconds * share
                use.found += own
    return [use for use in uses.values() if use.times]


def with_kernels(
    spans: Iterable[Span], program: HloModule, counted: Iterable[CountedProduct]
) -> list[Span]:
    """The spans, with the products of native kernels in the costs of their custom calls.

    XLA knows nothing of the work in a custom call.
    """
    kernels: dict[str, list[CountedProduct]] = defaultdict(list)
    for one in counted:
        if one.kernel:
            kernels[one.kernel].append(one)
    if not kernels:
        return list(spans)
    work = {path: _work_of_call(inside) for path, inside in kernels.items()}
    return [_with_work(span, program, work) for span in spans]


@dataclass(frozen=True)
class _Work:
    """What one call of a kernel computes: FLOPs, and the type of the heaviest product."""

    flops: float
    dtype: str


def _work_of_call(inside: Sequence[CountedProduct]) -> _Work:
    """The mean work of the calls at one path, which the trace does not tell apart."""
    # A branch that counts zero times weighs as much as one that counts once: only one of them runs.
    calls = {one.call: max(1, one.times // one.repeats) for one in inside}
    flops = sum(calls[one.call] * one.product.flop * one.repeats for one in inside)
    heaviest = max((one.product for one in inside), key=lambda product: product.flop)
    return _Work(flops / sum(calls.values()), heaviest.ceiling_type)


def _with_work(span: Span, program: HloModule, work: Mapping[str, _Work]) -> Span:
    inside = work.get(_kernel_path(span.operation, program))
    if inside is None or span.cost is None:
        return span
    flops = span.cost.flops + inside.flops
    return replace(span, cost=Cost(Kind.DOT, flops, span.cost.bytes, inside.dtype))


def _kernel_path(operation: str, program: HloModule) -> str:
    """Path of the custom call that an operation is; empty if it is none."""
    found = program.instructions.get(operation)
    if found is None or found.opcode != CUSTOM_CALL:
        return ""
    return plain_path(found.op_name)


def _keys_of(program: HloModule) -> set[Key]:
    """Keys of all products and of all custom calls of the program."""
    keys = {
        (plain_path(dot.op_name), dot.flops, dot.elements)
        for cost in program.costs.values()
        for dot in cost.products
    }
    calls = {_kernel_path(name, program) for name in program.costs}
    return keys | {(path, 0.0, 0) for path in calls if path}


def _key_in(one: CountedProduct, in_program: set[Key]) -> Key:
    """The key under which a product is in the program, if it is in it."""
    if one.kernel:
        return (one.kernel, 0.0, 0)
    named = (one.path, float(one.product.flop), one.product.elements)
    return named if named in in_program else ("", *named[1:])


def _seen_by_key(spans: Iterable[Span], program: HloModule) -> dict[Key, _Seen]:
    seen: dict[Key, _Seen] = defaultdict(_Seen)
    paths: dict[str, str] = {}
    for span in spans:
        dots = () if span.cost is None else span.cost.products
        whole = sum(dot.flops for dot in dots)
        for dot in dots:
            if dot.op_name not in paths:
                paths[dot.op_name] = plain_path(dot.op_name)
            entry = seen[paths[dot.op_name], dot.flops, dot.elements]
            entry.runs += 1
            entry.seconds += span.seconds * (dot.flops / whole if whole else 1 / len(dots))
        if not dots and (path := _kernel_path(span.operation, program)):
            entry = seen[path, 0.0, 0]
            entry.runs += 1
            entry.seconds += span.seconds
    return seen


def _times(members: Sequence[CountedProduct], runs: int) -> list[int]:
    """How often each product of one key ran; the runs of uncertain ones are those that are left.

    Products of one kernel run as often as the kernel does; several calls of kernels at one path
    share its runs. Uncertain products are otherwise equal, so that it does not matter which of them
    a run is counted for.
    """
    if members[0].kernel:
        calls = len({one.call for one in members})
        return [one.times if one.certain else runs * one.repeats // calls for one in members]
    left = runs - sum(one.times for one in members if one.certain)
    unsure = [place for place, one in enumerate(members) if not one.certain]
    times = [one.times if one.certain else 0 for one in members]
    for place in unsure:
        times[place] = max(left, 0) // len(unsure)
    if unsure:
        times[unsure[0]] += max(left, 0) % len(unsure)
    return times
