"""Child process that times products in oneDNN, see :mod:`perfkit.observers.products.timing`.

oneDNN uses OpenMP here, whose number of threads is that of ``OMP_NUM_THREADS``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from perfkit.observers.products.onednn import OneDnn
from perfkit.observers.products.product import Product
from perfkit.observers.products.timing import serve


def main() -> int:
    """Time the products that standard input describes."""

    def begin() -> Callable[[Product], Callable[[], object] | None]:
        library = OneDnn.load()
        return lambda product: prepared(library, product)

    return serve(begin)


def prepared(library: OneDnn, product: Product) -> Callable[[], object] | None:
    """A call of several such products, in whichever layout of the operands is faster.

    None if oneDNN has no such product on this CPU.
    """
    made = [
        library.products(product, product.together, own_layout=own_layout)
        for own_layout in (False, True)
    ]
    calls = [each.run for each in made if each is not None]
    return min(calls, key=_once_s, default=None)


def _once_s(call: Callable[[], object]) -> float:
    """Seconds of a call after a warm-up."""
    call()
    begin_s = time.perf_counter()
    call()
    return time.perf_counter() - begin_s


if __name__ == "__main__":
    sys.exit(main())
