"""Native kernels in AlphaFold 3: whether there are any, and how the network comes by them.

The ColabFold build asks four variables of its module ``modules`` for kernels while it is traced.
DeepMind's package has no such places, and the ColabFold build has none in the diffusion. Those
parts are replaced while they are traced: see :mod:`perfkit.models.af3.network.trunk_kernels`,
:mod:`perfkit.models.af3.network.diffusion_kernels` and
:mod:`perfkit.models.af3.network.plain_kernels`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.models.af3.network.replacing import changed
from perfkit.models.af3.network.source import (
    DIFFUSION,
    MODULES,
    PLACES,
    why_no_kernels_in_network,
)
from perfkit.models.native_kernels import load_native_kernels


def why_no_native_kernels() -> str | None:
    """Why AlphaFold 3 cannot run with native kernels here; None if it can.

    A clause without a full stop. An ``alphafold3`` that is not installed is no reason: other
    messages say what to install. Imports neither JAX nor ``alphafold3``.
    """
    return why_no_kernels() or why_no_kernels_in_network()


def load_kernels() -> tuple[str, ...]:
    """Load the kernels of this model.

    Returns and raises what :func:`~perfkit.models.native_kernels.load_native_kernels` does.
    """
    return load_native_kernels(why_no_native_kernels())


def hooks() -> dict[str, Callable[..., Any]]:
    """The functions that answer the network: place -> function. Imports JAX."""
    from perfkit.kernels.transition import glu_transition
    from perfkit.kernels.triangle_attention import packed_attention, pair_projections
    from perfkit.kernels.triangle_multiplication import triangle_kernels

    return {
        "PACKED_ATTENTION": packed_attention,
        "PAIR_PROJECTIONS": pair_projections,
        "TRIMUL_KERNELS": triangle_kernels,
        "GLU_TRANSITION": glu_transition,
    }


@functools.cache
def replacements(fills_places: bool) -> Mapping[str, Mapping[str, Any]]:
    """What replaces variables of the network: module -> variable -> value. Imports the network.

    Parameters
    ----------
    fills_places
        Whether the trunk gets its kernels through its places; else its modules are replaced.
    """
    from perfkit.models.af3.network.diffusion_kernels import transformers
    from perfkit.models.af3.network.plain_kernels import COMPONENTS, PairLogitsComponents, functions
    from perfkit.models.af3.network.trunk_kernels import trunk_modules

    trunk, diffusion = importlib.import_module(MODULES), importlib.import_module(DIFFUSION)
    components = PairLogitsComponents(importlib.import_module(COMPONENTS))
    return {
        MODULES: {"hm": components} | (hooks() if fills_places else trunk_modules(trunk)),
        DIFFUSION: functions(diffusion) | transformers(diffusion),
    }


def has_places() -> bool:
    """Whether the trunk of the installed package has all places for kernels. Imports it."""
    trunk = importlib.import_module(MODULES)
    return all(hasattr(trunk, place) for place in PLACES)


@contextlib.contextmanager
def native_kernels(
    fills_places: bool | None = None, *, packed_weights: bool = False
) -> Iterator[None]:
    """Trace the network with native kernels in this block.

    One process traces programs with and without kernels, so everything is restored at the end.

    Parameters
    ----------
    fills_places
        As in :func:`replacements`; by default, where the trunk has places.
    packed_weights
        Whether the parameters come from
        :func:`~perfkit.models.af3.network.packed_parameters.with_packed_weights`.
    """
    from perfkit.models.af3.network.packed_parameters import tracing_packed_weights

    chosen = has_places() if fills_places is None else fills_places
    with contextlib.ExitStack() as stack:
        stack.enter_context(tracing_packed_weights(packed_weights))
        for module, variables in replacements(chosen).items():
            stack.enter_context(changed(module, variables))
        yield
