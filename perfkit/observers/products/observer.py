"""products: the matrix products of a pass by shape, and the floor that they set.

The traced program states each product and how often it runs; the trace shows how long it took in
the pass; two processes of their own measure each shape alone, in XLA with the settings of the trial
and in oneDNN. The sum of the least times is the floor: no choice of kernels makes the products of
the pass faster than the fastest library computes each shape by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from perfkit.errors import PerfkitError
from perfkit.knobs.environment import child_environment
from perfkit.observers.observer import Child, ExtraPass, Finding, ObservedRun, Observer, Process
from perfkit.observers.products.joining import Use, uses_of
from perfkit.observers.products.onednn import INSTALL, installed_library
from perfkit.observers.products.product import Product
from perfkit.observers.products.result import KEPT_PRODUCTS, ceiling_s, result_of
from perfkit.observers.products.timing import Task, Timing, measure_alone
from perfkit.observers.roofline.ceilings import Ceilings, measured_ceilings
from perfkit.observers.trace.traced_pass import (
    MOST_EVENTS,
    UNNAMED,
    has_traced_pass,
    read_traced_pass,
)
from perfkit.units import count_text

XLA_BUDGET_S = 8.0
ONEDNN_BUDGET_S = 3.0
"""Seconds after which no further shape is measured alone, apart from the largest
``KEPT_PRODUCTS``. The shapes come in order of falling time, so that the rest matters little."""

XLA_MODULE = "perfkit.observers.products.xla_programs"
ONEDNN_MODULE = "perfkit.observers.products.onednn_programs"

type MeasureAlone = Callable[[str, Task, Mapping[str, str] | None], list[Timing | None]]


class Products(Observer):
    """Counts the products of a pass and measures each shape alone.

    Parameters
    ----------
    find_ceilings
        Returns the highest rates of the machine; raises PerfkitError where they are unknown.
    measure
        Measures shapes in a process of its own, see
        :func:`~perfkit.observers.products.timing.measure_alone`.
    has_onednn
        Whether oneDNN is installed.
    """

    name = "products"
    process = Process.SHARED
    summary = "matrix products by shape: rates in the pass, alone in XLA and in oneDNN; floor"
    extra_pass = ExtraPass.TRACED

    def __init__(
        self,
        find_ceilings: Callable[[], Ceilings] = measured_ceilings,
        measure: MeasureAlone = measure_alone,
        has_onednn: Callable[[], bool] = lambda: installed_library() is not None,
    ) -> None:
        self._find_ceilings = find_ceilings
        self._measure = measure
        self._has_onednn = has_onednn
        self._child: Child | None = None
        self._measuring = False

    def started(self, child: Child) -> None:
        """Keep the child for the traced pass."""
        self._child = child

    def results(self, run: ObservedRun) -> Finding:
        """The largest products and the floor."""
        child = self._child
        if child is None or not has_traced_pass(child.folder):
            return Finding(missing="the child ended before its traced pass did")
        if self._measuring:
            return Finding(missing="interrupted")
        self._measuring = True
        from perfkit.models import get_model

        module_of = get_model(child.workload.model).module_of
        try:
            traced = read_traced_pass(child.folder, module_of)
            ceilings = self._find_ceilings()
        except PerfkitError as error:
            return Finding(missing=str(error))
        uses = uses_of(
            traced.products,
            traced.spans,
            traced.program,
            module_of,
            UNNAMED,
            ceilings.flops_per_s,
            complete=traced.complete,
        )
        missing = [] if traced.complete else [f"the trace ends after {MOST_EVENTS:,} events"]
        if assumed := sum(use.assumed for use in uses):
            missing.append(
                f"how often {count_text(assumed, 'product')} in loops and branches ran is unknown: "
                "each loop counts one iteration, and each branch as the one with the most work"
            )
        if beside := sum(use.beside for use in uses):
            missing.append(
                f"{count_text(beside, 'product')} ran beside other operations: the trace counts "
                "their time with these"
            )
        by_time = sorted(uses, key=lambda use: -_expected_s(use, ceilings))
        shapes = [use.product for use in by_time]
        xla, failure = self._alone(XLA_MODULE, shapes, XLA_BUDGET_S, child)
        missing += failure
        onednn: dict[Product, Timing] = {}
        if self._has_onednn():
            onednn, failure = self._alone(ONEDNN_MODULE, shapes, ONEDNN_BUDGET_S, child)
            missing += failure
        else:
            missing.append(INSTALL)
        found = result_of(uses, traced.seconds, ceilings, xla, onednn)
        return Finding(found.model_dump(mode="json"), missing="; ".join(missing))

    def _alone(
        self, module: str, shapes: Sequence[Product], budget_s: float, child: Child
    ) -> tuple[dict[Product, Timing], list[str]]:
        """Times alone by shape, and why there are none."""
        try:
            affinity = child.configuration.affinity()
            # OpenMP's threads stay on their CPUs, as XLA's do not need to.
            threads = {"OMP_NUM_THREADS": str(child.cpus), "OMP_PROC_BIND": "true"}
            environment = child_environment(child.configuration) | threads
            task = Task(tuple(shapes), KEPT_PRODUCTS, budget_s, affinity)
            timings = self._measure(module, task, environment)
        except PerfkitError as error:
            return {}, [str(error)]
        pairs = zip(shapes, timings, strict=True)
        return {shape: timing for shape, timing in pairs if timing is not None}, []


def _expected_s(use: Use, ceilings: Ceilings) -> float:
    """Seconds of a shape in the pass; for those not found in the trace, the least there can be."""
    product = use.product
    copied_s = product.bytes / ceilings.copy_bytes_per_s
    return use.seconds + (use.times - use.found) * max(ceiling_s(product, ceilings), copied_s)
