"""AlphaFold 3 with one block per stack: all parts at full width, in a tenth of the time.

Featurisation, padding, knobs and output are those of the whole network, so that they can be tested
on many inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfkit.models.af3 import computation
from perfkit.models.af3.chemistry.tokens import count_tokens
from perfkit.models.af3.knobs import settings_for
from perfkit.models.af3.package import model_config, transformed
from perfkit.models.af3.synthetic_weights import shapes_of, synthetic_parameters
from perfkit.models.prepared import Prepared, PyTree

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

FLOAT32 = {"precision": "float32"}
FEWEST = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed"}
"""All knobs that cut padding."""

FIDELITY = {"recycles": 0, "steps": 2, "samples": 1}
IDENTIFIER = b"synthetic weights, one block of each stack"

Arrays = Mapping[str, npt.NDArray[np.float32]]


def prepare(
    fold_input: Input, overrides: Mapping[str, str], labels: tuple[str, ...] = ()
) -> Prepared:
    """Like :meth:`perfkit.models.base.Model.prepare`, in float32 and with one block per stack."""
    tokens = count_tokens(fold_input)
    settings = settings_for({**FLOAT32, **overrides}, tokens)
    return computation.prepare(
        fold_input,
        settings,
        FIDELITY,
        {},
        tokens,
        None,
        labels,
        make_config=_shallow_config,
        load=_parameters,
    )


def answer(fold_input: Input, overrides: Mapping[str, str]) -> Arrays:
    """The compared quantities of one prediction."""
    prepared = prepare(fold_input, overrides)
    outputs = prepared.drive(_compiled(prepared))
    return prepared.compared(outputs)


def relative_distances(some: Arrays, others: Arrays) -> dict[str, float]:
    """Relative distance of each quantity from that of ``others``; NaN if a value is NaN."""
    return {
        name: float(np.linalg.norm(some[name] - values) / np.linalg.norm(values))
        for name, values in others.items()
    }


def _compiled(prepared: Prepared) -> Any:
    """The executable, shared by inputs of the same shapes."""
    import jax

    shapes = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), prepared.arguments)
    leaves, structure = jax.tree.flatten(shapes, is_leaf=lambda x: isinstance(x, tuple))
    key = (str(structure), tuple(map(str, leaves)))
    if key not in _EXECUTABLES:
        _EXECUTABLES[key] = jax.jit(prepared.function).lower(*prepared.arguments).compile()
    return _EXECUTABLES[key]


_EXECUTABLES: dict[Any, Any] = {}


def _shallow_config(**options: Any) -> Any:
    config = model_config(**options)
    config.evoformer.pairformer.num_layer = 1
    config.evoformer.msa_stack.num_layer = 1
    config.evoformer.template.template_stack.num_layer = 1
    config.heads.confidence.pairformer.num_layer = 1
    transformer = config.heads.diffusion.transformer
    transformer.num_blocks = transformer.super_block_size
    return config


def _parameters(
    model_dir: object, settings: object, example: PyTree
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    import jax

    low = _shallow_config(recycles=0, steps=1, samples=1, msa_rows=1, bfloat16="all")
    if not _PARAMETERS:
        tree = jax.eval_shape(transformed(low).init, jax.random.PRNGKey(0), example)
        for shape, values in synthetic_parameters(shapes_of(tree)):
            _PARAMETERS.setdefault(shape.module, {})[shape.name] = np.asarray(values, np.float32)
        _PARAMETERS["__meta__"] = {"__identifier__": np.frombuffer(IDENTIFIER, np.uint8)}
    return _PARAMETERS, ()


_PARAMETERS: dict[str, dict[str, Any]] = {}
