"""Time the planning of a long queue: by default 10,000 jobs on 100 machines.

The laws come from a fit file. Without one, invented laws of the usual shape are used, since only
the planning is timed:

    python -m benchmarks.scripts.plan_queue --jobs 10000 --machines 100 --repeats 3 [--fit FIT.json]

Prints the seconds of each repeat, and the makespan with its distance from the lower bound.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.law import Law
from perfkit.capacity.laws.parallel import CpuLaw
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import make_plan
from perfkit.models.costs import Job


def made_up_fit() -> ModelFit:
    """Laws of the shape that AlphaFold 3 has on two CPUs."""

    def law(quantity: str, **terms: float) -> Law:
        names = tuple(name.replace("_x_", "*").replace("_to_", "^") for name in terms)
        names = tuple("1" if name == "one" else name for name in names)
        zero = tuple(tuple(0.0 for _ in names) for _ in names)
        return Law(
            quantity=quantity,
            terms=names,
            coefficients=tuple(terms.values()),
            spread=zero,
            freedom=4,
            fixed={},
            residuals=(0.03, -0.03, 0.02, -0.02),
        )

    laws = {
        "trunk_pass": law("trunk_pass", one=0.1, n=0.01, n_to_2=3e-4, n_to_3=1e-7),
        "diffusion_step": law("diffusion_step", one=0.15, s_x_n=0.0024),
        "confidence": law("confidence", s_x_n=1e-3, s_x_n_to_2=1e-5),
        "compile": law("compile", one=18.0),
        "import": law("import", one=3.0),
        "prepare": law("prepare", one=0.4, n=0.004),
        "trace": law("trace", one=4.0),
    }
    size = len(laws)
    cpus = CpuLaw(serial=0.1, crosstalk=0.0, measured=(1, 2))
    return ModelFit(
        model="af3",
        settings={"bucket": "exact", "msa_rows": "needed"},
        label="bucket=exact msa_rows=needed",
        created="",
        machine={},
        versions={},
        cpus=2,
        least_size=16,
        largest_size=1024,
        points=8,
        laws=laws,
        covariance=tuple(
            tuple(9e-4 if row == column else 0.0 for column in range(size)) for row in range(size)
        ),
        freedom=4,
        compiled=law("memory", one=8e8, n_to_2=9e3),
        overhead=law("overhead", one=1.2e9),
        output_bytes=law("outputs", n_to_2=600.0),
        compiled_exactly=(),
        running_cpus=cpus,
        starting_cpus=cpus,
        contention=0.1,
        cached_compile_s=1.0,
    )


def queue(count: int) -> list[Job]:
    """Proteins of 50 to 2000 tokens, distributed like lengths in a proteome, with 1 or 5 seeds."""
    generator = random.Random(1)
    jobs = []
    for number in range(count):
        tokens = max(50, min(2000, round(generator.lognormvariate(5.9, 0.6))))
        fidelity = production("af3", seeds=generator.choice((1, 1, 1, 5)))
        jobs.append(Job(f"job{number}", "af3", tokens, fidelity, {"size": str(tokens)}, "made"))
    return jobs


def machines(count: int) -> Inventory:
    """Half with 64 cores and 256 GB, half with 32 cores and 128 GB."""
    kinds = (
        Machine("large", count - count // 2, 64, 256 * 10**9, speed=1.0, price_per_hour=2.0),
        Machine("small", count // 2, 32, 128 * 10**9, speed=1.2, price_per_hour=1.0),
    )
    return Inventory(tuple(kind for kind in kinds if kind.count), "EUR")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fit", type=Path)
    given = parser.parse_args()
    fit = made_up_fit() if given.fit is None else ModelFit.load(given.fit)
    jobs, inventory = queue(given.jobs), machines(given.machines)
    for _ in range(given.repeats):
        begin_s = time.perf_counter()
        plan = make_plan(jobs, inventory, [fit])
        took_s = time.perf_counter() - begin_s
        gap = plan.makespan_s / plan.packing.bound_s - 1
        print(
            f"{took_s:.1f} s for {len(plan.jobs)} jobs ({len(plan.rejects)} rejected) on "
            f"{given.machines} machines; makespan {plan.makespan_s / 3600:.2f} h, at most "
            f"{gap:.1%} above the shortest",
            flush=True,
        )


if __name__ == "__main__":
    main()
