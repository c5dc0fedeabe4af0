"""Time every native kernel against its JAX form, at the shapes of one prediction.

    python -m benchmarks.scripts.kernel_shapes --size 256 --out FOLDER

Run it on an otherwise idle machine that can build kernels. It traces AlphaFold 3 with native
kernels and calls each kernel that the program holds, at each shape, in turns with its JAX form as
XLA compiles it. Operands are random numbers, and masks without padding. Where the ratio is below 1,
the kernel loses. All calls are made in one process, so that the range of the ratios covers the
variation between calls, not that between processes. kernel-shapes.json and kernel-shapes.md have
the ratios.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun
from pydantic import BaseModel

from benchmarks.scripts.ending import ended
from perfkit.files import write_whole
from perfkit.guard.analysis.structure import NATIVE, Program, as_program, held_programs
from perfkit.kernels.build.levels import chosen_level
from perfkit.kernels.kernel import TARGET_PREFIX
from perfkit.kernels.primitive import KERNEL
from perfkit.knobs.configuration import Catalogue
from perfkit.models import get_model
from perfkit.records.machine import fingerprint
from perfkit.records.store import ensure_writable
from perfkit.units import seconds_text

DEVIATION = 0.5
"""Standard deviation of the random operands."""

CALL_S = 0.05
"""Each side of a round repeats its call until this many seconds have passed."""


class Shape(BaseModel):
    """One kernel at one shape.

    Attributes
    ----------
    kernel
        Symbol of the handler.
    operands
        Dtype and shape of each operand.
    attributes
        Attributes of the call.
    times
        Calls per pass, as far as the program states them: the body of a ``while`` loop counts once.
    native_s, form_s
        Median seconds of a call, with the kernel and with its JAX form.
    ratios
        Seconds of the form over those of the kernel, one for each round.
    """

    kernel: str
    operands: list[str]
    attributes: dict[str, float]
    times: int
    native_s: float
    form_s: float
    ratios: list[float]


class Comparison(BaseModel):
    """All kernels of one prediction.

    Attributes
    ----------
    model, size, settings
        What was traced.
    cpu, level
        The machine, and the instruction sets that the kernels were built for.
    shapes
        The one with the most time per pass first.
    """

    model: str
    size: str
    settings: dict[str, str]
    cpu: str
    level: str
    shapes: list[Shape]


@dataclass(frozen=True)
class Call:
    """A call of a kernel in a traced program.

    Attributes
    ----------
    equation
        The equation.
    times
        How often a pass makes it.
    """

    equation: Any
    times: int

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for calls of the same kernel at the same shape."""
        parameters = self.equation.params
        operands = tuple(str(each.aval) for each in self.equation.invars)
        return parameters["target"], parameters["attributes"], operands


def calls_of(program: Program, times: int = 1) -> Iterator[Call]:
    """Yield the calls of kernels in a program and in the programs that it holds."""
    for equation in program.jaxpr.eqns:
        if equation.primitive.name == NATIVE:
            yield Call(equation, times)
            continue
        scanned = equation.params["length"] if equation.primitive.name == "scan" else 1
        for inside in held_programs(equation):
            yield from calls_of(inside, times * scanned)


def different(calls: Sequence[Call]) -> list[Call]:
    """Merge the calls of the same kernel at the same shape."""
    merged: dict[tuple[object, ...], Call] = {}
    for call in calls:
        known = merged.get(call.key)
        merged[call.key] = Call(call.equation, call.times + (known.times if known else 0))
    return list(merged.values())


def random_operands(call: Call, seed: int = 0) -> list[jax.Array]:
    """Draw operands for a call.

    Integers count rows of the first operand, as they do in the kernels of AlphaFold 3. They follow
    each other, so that neighbours in a gather are neighbours in memory.
    """
    found: list[jax.Array] = []
    keys = jax.random.split(jax.random.PRNGKey(seed), len(call.equation.invars))
    for key, operand in zip(keys, call.equation.invars, strict=True):
        aval = operand.aval
        if jnp.issubdtype(aval.dtype, jnp.floating):
            numbers = DEVIATION * jax.random.normal(key, aval.shape, jnp.float32)
            found.append(numbers.astype(aval.dtype))
        elif aval.dtype == jnp.bool_:
            found.append(jnp.ones(aval.shape, jnp.bool_))
        else:
            numbers = jnp.arange(math.prod(aval.shape)) % call.equation.invars[0].aval.shape[-2]
            found.append(numbers.reshape(aval.shape).astype(aval.dtype))
    return found


def compare(call: Call, rounds: int) -> Shape:
    """Time a kernel and its JAX form in turns."""
    operands = random_operands(call)
    parameters = call.equation.params
    native = jax.jit(lambda *arrays: KERNEL.bind(*arrays, **parameters)).lower(*operands).compile()
    form = jax.jit(jaxpr_as_fun(parameters["jaxpr"])).lower(*operands).compile()
    seconds: dict[str, list[float]] = {"native": [], "form": []}
    for each in (native, form):
        _seconds_of(each, operands)
    for number in range(rounds):
        turns = [("native", native), ("form", form)]
        for name, compiled in turns if number % 2 else reversed(turns):
            seconds[name].append(_seconds_of(compiled, operands))
    target = parameters["target"].removeprefix(TARGET_PREFIX)
    return Shape(
        kernel=target.partition(".")[0],
        operands=[str(each.aval) for each in call.equation.invars],
        attributes={name: float(value) for name, value in parameters["attributes"]},
        times=call.times,
        native_s=statistics.median(seconds["native"]),
        form_s=statistics.median(seconds["form"]),
        ratios=[f / n for f, n in zip(seconds["form"], seconds["native"], strict=True)],
    )


def _seconds_of(compiled: Callable[..., Any], operands: Sequence[jax.Array]) -> float:
    """Mean seconds of calls in a row."""
    calls, begin_s = 0, time.perf_counter()
    while (passed_s := time.perf_counter() - begin_s) < CALL_S or not calls:
        jax.block_until_ready(compiled(*operands))
        calls += 1
    return passed_s / calls


def markdown(found: Comparison) -> str:
    """Lay out the comparison as Markdown."""
    settings = " ".join(f"{name}={value}" for name, value in found.settings.items())
    lines = [
        f"# {found.model}, size {found.size}: native kernels by shape",
        "",
        f"{found.cpu}, kernels for {found.level}, {settings}. The ratio is the time of the JAX "
        "form, as XLA compiles it, over that of the kernel: median of the rounds, and their range. "
        "Rows that look alike differ in further operands or in attributes of the call. Loops of "
        "unknown length count once.",
        "",
        "| kernel | first operands | calls per pass | kernel | JAX form | ratio | range |",
        "|---|---|---|---|---|---|---|",
    ]
    for shape in found.shapes:
        ratio = statistics.median(shape.ratios)
        cells = [
            shape.kernel,
            "; ".join(_first_different(shape.operands)),
            str(shape.times),
            seconds_text(shape.native_s),
            seconds_text(shape.form_s),
            f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**",
            f"{min(shape.ratios):.2f} to {max(shape.ratios):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join((*lines, ""))


def _first_different(operands: Sequence[str], count: int = 2) -> list[str]:
    """The first operands, of which the activations are one, without repetitions."""
    return list(dict.fromkeys(operands))[:count]


def trace(size: str, settings: dict[str, str], fidelity: dict[str, int]) -> list[Call]:
    """Trace AlphaFold 3 and return the different calls of kernels.

    Raises
    ------
    UserError
        The size or a setting is impossible, or this machine cannot build kernels.
    """
    model = get_model("af3")
    workload = model.resized(model.workload({}, {}), size).with_fidelity(**fidelity)
    configuration = Catalogue(model.knobs).configuration(settings)
    model.check(workload, configuration)
    prepared = model.prepare(workload, configuration.as_dict())
    program = as_program(jax.make_jaxpr(prepared.function)(*prepared.arguments))
    return different(list(calls_of(program)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Trace, time and write the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", required=True, help="residues of a synthetic protein")
    parser.add_argument("--samples", type=int, default=1, help="diffusion samples")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", default="bfloat16", help="value of the knob")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return ended(lambda: _compared(given))


def _compared(given: argparse.Namespace) -> str:
    settings = {
        "kernels": "native",
        "bucket": "exact",
        "msa_rows": "needed",
        "precision": given.precision,
    }
    ensure_writable(given.out)
    calls = trace(given.size, settings, {"samples": given.samples})
    shapes = [compare(call, given.rounds) for call in calls]
    found = Comparison(
        model="af3",
        size=given.size,
        settings=settings,
        cpu=str(fingerprint().cpu),
        level=str(chosen_level()),
        shapes=sorted(shapes, key=lambda one: one.native_s * one.times, reverse=True),
    )
    text = markdown(found)
    write_whole(given.out / "kernel-shapes.json", found.model_dump_json(indent=1) + "\n", "shapes")
    write_whole(given.out / "kernel-shapes.md", text, "shapes")
    return text


if __name__ == "__main__":
    sys.exit(main())
