"""Native kernels in AlphaFold 3: whether there are any, and how the network comes by them.

The ColabFold build asks four variables of its module ``modules`` for kernels while it is traced.
DeepMind's package has no such places. Where the ColabFold build has none either, parts of it are
replaced while it is traced: see :mod:`perfkit.models.af3.diffusion_kernels` and
:mod:`perfkit.models.af3.plain_kernels`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.models.native_kernels import load_native_kernels

MODULES = "alphafold3.model.network.modules"
"""Module of the network with the places for kernels."""

DIFFUSION = "alphafold3.model.network.diffusion_transformer"
"""Module of the network whose functions and Haiku modules are replaced."""

PLACES = ("PACKED_ATTENTION", "PAIR_PROJECTIONS", "TRIMUL_KERNELS", "GLU_TRANSITION")
"""Variables of :data:`MODULES`. Each is None, or a function that is asked for a kernel by dtype and
shape and may return None."""

NO_PLACES = "the installed alphafold3 has no places for kernels, as only ColabFold's build has"


def why_no_native_kernels() -> str | None:
    """Why AlphaFold 3 cannot run with native kernels here; None if it can.

    A clause without a full stop. An ``alphafold3`` that is not installed is no reason: other
    messages say what to install. Imports neither JAX nor ``alphafold3``.
    """
    return why_no_kernels() or (None if _has_places() else NO_PLACES)


@functools.cache
def _has_places() -> bool:
    """Whether the installed package has the places; True if there is no package."""
    package, *below = MODULES.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        # A module that a program made up has no specification.
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return True
    source = Path(spec.submodule_search_locations[0], *below).with_suffix(".py")
    try:
        text = source.read_text()
    except OSError:
        return False
    return all(f"\n{place} = " in text for place in PLACES)


def load_kernels() -> tuple[str, ...]:
    """Compile the kernels if necessary and load them, so that tracing finds them.

    Returns
    -------
    tuple of str
        A sentence if the user forces a level of instruction sets.

    Raises
    ------
    ConfigurationRefusedError
        There are no kernels here, or they cannot be built or loaded.
    UserError
        The forced level is wrong, or the cache cannot be written.
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
def replacements() -> Mapping[str, Mapping[str, Any]]:
    """What replaces parts of the network: module -> variable -> value. Imports the network."""
    from perfkit.models.af3.diffusion_kernels import transformers
    from perfkit.models.af3.plain_kernels import COMPONENTS, PairLogitsComponents, functions

    diffusion = importlib.import_module(DIFFUSION)
    return {
        MODULES: {"hm": PairLogitsComponents(importlib.import_module(COMPONENTS))},
        DIFFUSION: functions(diffusion) | transformers(diffusion),
    }


@contextlib.contextmanager
def native_kernels() -> Iterator[None]:
    """Trace the network with native kernels in this block.

    One process traces programs with and without kernels, so everything is restored at the end.
    """
    with contextlib.ExitStack() as stack:
        for module, variables in ((MODULES, hooks()), *replacements().items()):
            stack.enter_context(_changed(module, variables))
        yield


@contextlib.contextmanager
def _changed(module: str, variables: Mapping[str, Any]) -> Iterator[None]:
    """Change variables of a module of the network in this block."""
    place = importlib.import_module(module)
    before = {name: getattr(place, name) for name in variables}
    try:
        for name, value in variables.items():
            setattr(place, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(place, name, value)
