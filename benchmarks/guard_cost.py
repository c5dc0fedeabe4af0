"""Steady time of a guarded AlphaFold 3 prediction over that of the same without guard.

Both are compiled in this process and run in turns, so that the machine's drift cancels:

    python benchmarks/guard_cost.py --size 76 --rounds 8

Prints the median ratio (1 is no cost) with its bootstrap interval, and how the outputs compare.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax

from perfkit.guard.agreement import compare
from perfkit.guard.guarded_jit import Ledger, make_guarded_jit
from perfkit.models import get_model
from perfkit.stats.bootstrap import paired_ratio
from perfkit.units import ratio_text


def seconds(run: Callable[[], Any]) -> float:
    begin_s = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - begin_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=76, help="residues (default 76)")
    parser.add_argument("--rounds", type=int, default=8, help="passes of each (default 8)")
    given = parser.parse_args()
    model = get_model("af3")
    model.load()
    prepared = model.prepare(model.workload({"size": given.size}, {}), {})
    ledger = Ledger()
    plain, guarded = (
        jit(prepared.function).lower(*prepared.arguments).compile()
        for jit in (jax.jit, make_guarded_jit(jax.jit, ledger, False))
    )
    agreement = compare(
        prepared.compared(prepared.drive(guarded)),
        prepared.compared(prepared.drive(plain)),
        model.tolerances,
    )
    plain_s, guarded_s = [], []
    for number in range(given.rounds):
        plain_s.append(seconds(lambda: prepared.drive(plain)))
        guarded_s.append(seconds(lambda: prepared.drive(guarded)))
        told = f"plain {plain_s[-1]:.3f} s, guarded {guarded_s[-1]:.3f} s"
        print(f"round {number}: {told}", flush=True)
    print(f"{len(ledger.rows())} guarded equations; {agreement.sentence()}")
    print(f"guarded / plain: {ratio_text(paired_ratio(guarded_s, plain_s))}, {given.rounds} pairs")


if __name__ == "__main__":
    main()
