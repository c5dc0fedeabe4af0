"""Squared lengths of many vectors: a model that jaxlib 0.10.2 computes wrongly on AVX2 and later.

A matrix-vector product under ``vmap`` with a reduction behind it is one fusion of that compiler,
which reads beyond a block of rows if their number is one more than a power of two (jax issue
39103). What is around it keeps the search from being trivial.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from perfkit.answers.agreement import Tolerance
from perfkit.models.base import REST
from perfkit.models.prepared import Prepared
from perfkit.models.workload import Workload

if TYPE_CHECKING:
    from tests.support.plugin.heat_model import Heat
else:
    # Where the package is installed, its modules are found by these names.
    from heat_model import Heat

ROWS = 32_769
"""Number of vectors at which the fault shows."""

OPERATIONS = ("dot_general", "integer_pow", "reduce_sum")
"""The operations that are fused."""


class Norms(Heat):
    """Stretches vectors, takes their squared lengths, and shrinks the vectors by them."""

    name = "norms"
    tolerances: Mapping[str, Tolerance] = MappingProxyType(
        {name: Tolerance(1e-6, 0.1, why="norms") for name in ("shrunk", "stretched")}
    )

    def module_of(self, op_name: str) -> str | None:
        """The names that :meth:`prepare` gives to parts of the program."""
        named = (name for name in ("stretch", "lengths", "shrink") if f"/{name}/" in op_name)
        return next(named, REST if op_name else None)

    def prepare(self, workload: Workload, overrides: Mapping[str, str]) -> Prepared:
        """Stretch, measure and shrink vectors of integers."""
        import jax
        import jax.numpy as jnp

        vectors = (np.arange(3 * ROWS) % 997).reshape(ROWS, 3).astype(np.float32)

        def squared_length(vector: Any) -> Any:
            return jnp.sum((jnp.eye(3, dtype=jnp.float32) @ vector) ** 2)

        def function(vectors: Any) -> Any:
            with jax.named_scope("stretch"):
                stretched = jnp.abs(vectors) * 2 + 1
            with jax.named_scope("lengths"):
                lengths = jax.jit(jax.vmap(squared_length))(stretched)
            with jax.named_scope("shrink"):
                shrunk = jnp.tanh(stretched / (1 + jnp.sqrt(lengths))[:, None])
            return {"shrunk": shrunk, "stretched": stretched}

        return Prepared(
            function=function,
            arguments=(vectors,),
            drive=lambda compiled: compiled(vectors),
            parts=self.part_counts(workload.fidelity),
            compared=lambda outputs: {name: np.asarray(each) for name, each in outputs.items()},
            write=lambda outputs, folder: [],
        )
