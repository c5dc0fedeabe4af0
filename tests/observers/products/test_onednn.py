"""oneDNN's products against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from perfkit.observers.products import onednn
from perfkit.observers.products.product import Product


@pytest.fixture(scope="module")
def library() -> onednn.OneDnn:
    if onednn.installed_library() is None:
        pytest.skip(onednn.INSTALL)
    return onednn.OneDnn.load()


def _product(operands: str, result: str = "float32") -> Product:
    return Product((3, 7, 5), (3, 4, 5), ((2,), (2,)), ((0,), (0,)), operands, operands, result)


@pytest.mark.parametrize("own_layout", [False, True])
@pytest.mark.parametrize(("operands", "result"), [("float32", "float32"), ("bfloat16", "float32")])
def test_batched_products_agree_with_numpy(
    library: onednn.OneDnn, operands: str, result: str, own_layout: bool
) -> None:
    products = library.products(_product(operands, result), 2, own_layout=own_layout)
    if products is None:
        pytest.skip(f"oneDNN has no {operands} product on this CPU")
    # Small integers, and their sums, are exact in all types.
    left = np.arange(105.0).reshape(3, 7, 5) % 11 - 5
    rights = [np.arange(60.0).reshape(3, 5, 4) % 7 - 3, np.ones((3, 5, 4))]
    products.write(left, rights)
    products.run()
    for place, right in enumerate(rights):
        np.testing.assert_array_equal(products.result(place), np.matmul(left, right))


def test_types_that_onednn_does_not_multiply_are_left_out(library: onednn.OneDnn) -> None:
    assert library.products(_product("int32", "int32"), 1) is None
