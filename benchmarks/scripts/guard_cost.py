"""Measure what the domain guard adds to an AlphaFold 3 prediction: time, CPU time, instructions.

The guarded and the unguarded program are compiled in this process and run in turns, so that the
machine's drift cancels. The order alternates, so that neither program is always first:

    python -m benchmarks.scripts.guard_cost --knob bucket=exact --knob msa_rows=needed --rounds 30

Prints the median ratios of wall and CPU seconds (1 means no cost) with exact intervals, the
instructions of the optimised programs, and the agreement of the outputs.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax

from perfkit.answers.agreement import compare
from perfkit.guard.injection.guarded_jit import make_guarded_jit
from perfkit.guard.injection.ledger import Ledger
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.stats.exact import paired_ratio
from perfkit.units import ratio_text

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) (?P<opcode>[a-z][\w\-]*)\(")


class Pass(NamedTuple):
    """Seconds of one prediction."""

    wall_s: float
    cpu_s: float


def timed(run: Callable[[], Any]) -> Pass:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    jax.block_until_ready(run())
    return Pass(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def opcodes(compiled: Any) -> Counter[str]:
    """Instructions per opcode in the optimised program, including those inside fusions."""
    matches = map(_INSTRUCTION.match, compiled.as_text().splitlines())
    return Counter(match["opcode"] for match in matches if match)


def show_programs(compiled: Mapping[str, Any]) -> None:
    held = {name: opcodes(program) for name, program in compiled.items()}
    costs = {name: program.cost_analysis() or {} for name, program in compiled.items()}
    for name in compiled:
        print(
            f"{name}: {held[name].total()} instructions, {held[name]['fusion']} fusions, "
            f"{costs[name]['flops'] / 1e9:.3f} GFLOP and "
            f"{costs[name]['bytes accessed'] / 1e9:.3f} GB accessed by XLA's count"
        )
    change = Counter(held["guarded"])
    change.subtract(held["plain"])
    listed = ", ".join(f"{opcode} {count:+d}" for opcode, count in change.most_common() if count)
    print(f"guarded minus plain: {listed or 'no instruction'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=76, help="residues (default 76)")
    parser.add_argument("--rounds", type=int, default=8, help="passes of each (default 8)")
    parser.add_argument("--knob", action="append", default=[], help="NAME=VALUE of the model's own")
    given = parser.parse_args()
    model = get_model("af3")
    catalogue = Catalogue(model.knobs)
    configuration = catalogue.configuration(dict(map(catalogue.parse_setting, given.knob)))
    model.load()
    prepared = model.prepare(model.workload({"size": given.size}, {}), configuration.overrides())
    ledger = Ledger()
    compiled = {
        name: jit(prepared.function).lower(*prepared.arguments).compile()
        for name, jit in (
            ("plain", jax.jit),
            ("guarded", make_guarded_jit(jax.jit, ledger, False)),
        )
    }
    show_programs(compiled)
    outputs = {
        name: prepared.compared(prepared.drive(program)) for name, program in compiled.items()
    }
    agreement = compare(outputs["guarded"], outputs["plain"], model.tolerances)
    passes: dict[str, list[Pass]] = {"plain": [], "guarded": []}
    for number in range(given.rounds):
        for name in sorted(compiled, reverse=number % 2 == 0):
            program = compiled[name]
            passes[name].append(timed(partial(prepared.drive, program)))
        listed = ", ".join(f"{name} {times[-1].wall_s:.3f} s" for name, times in passes.items())
        print(f"round {number}: {listed}", flush=True)
    print(f"{len(ledger.rows())} guarded equations; {agreement.sentence()}")
    for field in Pass._fields:
        ratio = paired_ratio(
            [getattr(one, field) for one in passes["guarded"]],
            [getattr(one, field) for one in passes["plain"]],
        )
        print(f"{field} guarded / plain: {ratio_text(ratio)}, {given.rounds} pairs")


if __name__ == "__main__":
    main()
