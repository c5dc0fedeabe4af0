"""Results of the products observer: the largest products, and the floor of the pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict

from perfkit.observers.products.joining import Use
from perfkit.observers.products.product import Product
from perfkit.observers.products.timing import Timing
from perfkit.observers.roofline.ceilings import Ceilings

KEPT_PRODUCTS = 20
"""Largest number of shapes in a record."""

KEPT_MODULES = 3
"""Largest number of modules of one shape in a record."""

type Timings = Mapping[Product, Timing]


class ProductRow(BaseModel):
    """One shape of product in one pass.

    Attributes
    ----------
    label
        Type, roles of the axes and shapes, see :attr:`Product.label`.
    modules
        Modules of the model that compute it, most work first.
    more_modules
        Number of further modules.
    times
        How often a pass computes it.
    found
        How many of these were found in the trace with a time of their own; those that the compiler
        merged or rewrote are not, nor are those that ran beside other operations.
    flop, bytes
        Work of one, and size of its operands and its result.
    pass_s
        Wall seconds of the traced pass in operations that compute those found; None if none was.
    share
        The same as a share of the pass, between 0 and 1.
    compute, bandwidth
        Achieved rates of those found as fractions of the measured ceilings.
    xla, onednn
        Seconds of one when it is computed alone; None where it was not measured.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    modules: list[str]
    more_modules: int
    times: int
    found: int
    flop: float
    bytes: float
    pass_s: float | None
    share: float | None
    compute: float | None
    bandwidth: float | None
    xla: Timing | None
    onednn: Timing | None

    @property
    def flops_per_s(self) -> float | None:
        """Achieved FLOP/s in the pass."""
        return self.found * self.flop / self.pass_s if self.pass_s else None

    @property
    def bytes_per_s(self) -> float | None:
        """Achieved bytes/s in the pass, with each operand read once."""
        return self.found * self.bytes / self.pass_s if self.pass_s else None


class ProductsResult(BaseModel):
    """The products of one pass.

    Attributes
    ----------
    shapes
        Number of shapes.
    timed
        Number of shapes that were measured alone in XLA.
    flops
        Work of all products.
    traced_s
        Seconds of the traced pass.
    found_s
        Seconds of the traced pass in operations that compute products.
    floor_s
        Least seconds of all products: for each shape the faster of XLA and oneDNN.
    unmeasured_s
        Part of the floor that is of shapes that were not measured alone. They count as if they
        reached the ceiling of their type.
    xla_s
        The same sum in XLA alone.
    ceiling_s
        Seconds of all products if each reached the ceiling of its type.
    rows
        The largest shapes, longest time first.
    ceilings
        Highest rates that the machine reaches, in FLOP/s and bytes/s, by name.
    """

    model_config = ConfigDict(frozen=True)

    shapes: int
    timed: int
    flops: float
    traced_s: float
    found_s: float
    floor_s: float
    unmeasured_s: float
    xla_s: float
    ceiling_s: float
    rows: list[ProductRow]
    ceilings: dict[str, float]

    @property
    def has_onednn(self) -> bool:
        """Whether any shape was measured in oneDNN."""
        return any(row.onednn is not None for row in self.rows)


def ceiling_s(product: Product, ceilings: Ceilings) -> float:
    """Seconds of one product at the highest FLOP/s of its type."""
    return product.flop / ceilings.flops_per_s(product.ceiling_type)


def result_of(
    uses: Sequence[Use], traced_s: float, ceilings: Ceilings, xla: Timings, onednn: Timings
) -> ProductsResult:
    """The results from the uses of the shapes and their times alone.

    Parameters
    ----------
    uses
        Uses of all shapes in a pass.
    traced_s
        Seconds of the traced pass.
    ceilings
        Highest rates of the machine.
    xla, onednn
        Times alone; shapes that were not measured are left out.
    """
    floor_s = unmeasured_s = xla_s = 0.0
    costs: dict[Product, float] = {}
    for use in uses:
        product = use.product
        bound_s = use.times * ceiling_s(product, ceilings)
        alone_s = [use.times * each[product].best_s for each in (xla, onednn) if product in each]
        least_s = min(alone_s, default=bound_s)
        floor_s += least_s
        unmeasured_s += 0.0 if alone_s else bound_s
        xla_s += use.times * xla[product].best_s if product in xla else bound_s
        lost = 1 - use.found / use.times
        costs[product] = use.seconds + lost * least_s
    largest = sorted(uses, key=lambda use: -costs[use.product])[:KEPT_PRODUCTS]
    return ProductsResult(
        shapes=len(uses),
        timed=sum(use.product in xla for use in uses),
        flops=sum(use.times * use.product.flop for use in uses),
        traced_s=traced_s,
        found_s=sum(use.seconds for use in uses),
        floor_s=floor_s,
        unmeasured_s=unmeasured_s,
        xla_s=xla_s,
        ceiling_s=sum(use.times * ceiling_s(use.product, ceilings) for use in uses),
        rows=[
            _row(use, traced_s, ceilings, xla.get(use.product), onednn.get(use.product))
            for use in largest
        ],
        ceilings=asdict(ceilings),
    )


def _row(
    use: Use, traced_s: float, ceilings: Ceilings, xla: Timing | None, onednn: Timing | None
) -> ProductRow:
    product, seconds = use.product, use.seconds if use.found else None
    modules = sorted(use.modules, key=lambda name: -use.modules[name])
    least_s = use.found * ceiling_s(product, ceilings)
    copied_s = use.found * product.bytes / ceilings.copy_bytes_per_s
    return ProductRow(
        label=product.label,
        modules=modules[:KEPT_MODULES],
        more_modules=max(0, len(modules) - KEPT_MODULES),
        times=use.times,
        found=use.found,
        flop=product.flop,
        bytes=product.bytes,
        pass_s=seconds,
        share=seconds / traced_s if seconds is not None and traced_s else None,
        compute=least_s / seconds if seconds else None,
        bandwidth=copied_s / seconds if seconds else None,
        xla=xla,
        onednn=onednn,
    )
