"""What decides the cost of a workload, model by model: its features, and how they enter."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from perfkit.models.af3.knobs import settings_for as af3_settings
from perfkit.models.base import Workload
from perfkit.models.gencast.inputs.sources import DEFAULT_RESOLUTION, mesh_for
from perfkit.models.gencast.knobs import settings_for as gencast_settings
from perfkit.records.schema import WorkloadRecord
from perfkit.records.stages import StageName

type Features = Mapping[str, float]
"""What a law is a function of, by name; see :func:`features_of`."""

CONSTANT = "1"
"""The term that depends on nothing."""

WARM_UP = "warm_up"
"""What the first pass takes longer than those after it: pages, caches, thread pools."""

MAIN_FEATURE = {"af3": "n", "gencast": "g"}
"""The feature that a size is, and that must differ between the points of a fit."""

FEATURES = {"af3": frozenset("ns"), "gencast": frozenset("gbm")}
"""All features of a model."""

_FACTOR = re.compile(r"([nsgbm])(?:\^(\d(?:\.\d{1,3})?))?", re.ASCII)

_COMMON_TERMS: Mapping[str, tuple[str, ...]] = {
    StageName.IMPORT: (CONSTANT,),
    StageName.TRACE: (CONSTANT,),
}

_TERMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # n: tokens after padding; s: diffusion samples computed side by side.
    "af3": {
        # Linear layers of the single representation, of the pair, triangle products.
        "trunk_pass": (CONSTANT, "n", "n^2", "n^3"),
        # What the pair representation gives to attention is shared by the samples; their linear
        # layers and attention are not.
        "diffusion_step": (CONSTANT, "n^2", "s*n", "s*n^2"),
        # A short pairformer a sample.
        "confidence": (CONSTANT, "s*n", "s*n^2", "s*n^3"),
        "rest": (CONSTANT, "n", "n^2"),
        StageName.PREPARE: (CONSTANT, "n"),
        StageName.COMPILE: (CONSTANT, "n"),
        WARM_UP: (CONSTANT, "n^2"),
        StageName.CHECK: (CONSTANT, "n", "s*n^2"),
    },
    # g: grid nodes; b: rows of a block, 0 where the grid is not cut; m: mesh nodes.
    "gencast": {
        # Encoder and decoder work on grid nodes and their edges, the transformer on mesh nodes,
        # its attention on pairs of them.
        "denoiser_call": (CONSTANT, "g", "m", "m^2"),
        # Spherical harmonics: a transform along longitudes, one along latitudes a wave number.
        "noise_set": (CONSTANT, "g", "g^1.5"),
        "step_setup": (CONSTANT, "g"),
        "rest": (CONSTANT, "g"),
        StageName.PREPARE: (CONSTANT, "g", "m"),
        StageName.COMPILE: (CONSTANT, "g"),
        WARM_UP: (CONSTANT, "g"),
        StageName.CHECK: (CONSTANT, "g"),
    },
}

_MEMORY_TERMS = {
    "af3": (CONSTANT, "n", "n^2", "s*n"),
    "gencast": (CONSTANT, "g", "b", "m", "m^2"),
}
"""Bytes of XLA's buffers: activations of tokens and pairs, of nodes, and attention's logits."""

_OVERHEAD_TERMS = {"af3": (CONSTANT, "n"), "gencast": (CONSTANT, "g")}
"""Resident bytes beside XLA's buffers: interpreter, packages, compiler, features."""

_PART_TERMS = {"af3": (CONSTANT, "n", "n^2"), "gencast": (CONSTANT, "g")}
"""Of a part that the model has grown since."""


def time_terms(model: str, quantity: str) -> tuple[str, ...]:
    """The terms that the time of ``quantity`` (a part or a stage) may have."""
    own = _TERMS[model]
    return own.get(quantity) or _COMMON_TERMS.get(quantity) or _PART_TERMS[model]


def compiled_terms(model: str) -> tuple[str, ...]:
    """The terms of the compiler's count of bytes."""
    return _MEMORY_TERMS[model]


def overhead_terms(model: str) -> tuple[str, ...]:
    """The terms of the resident bytes beside the compiler's count."""
    return _OVERHEAD_TERMS[model]


def term_value(term: str, features: Features) -> float:
    """The value of a product of powers, e.g. ``s*n^2``.

    Raises
    ------
    KeyError
        The features lack one that the term names.
    """
    if term == CONSTANT:
        return 1.0
    factors = (factor.partition("^") for factor in term.split("*"))
    return math.prod(float(features[name] ** float(power or 1)) for name, _, power in factors)


def is_term(text: str) -> bool:
    """Whether the text is a product of powers of features, as :func:`term_value` takes it."""
    return text == CONSTANT or all(_FACTOR.fullmatch(factor) for factor in text.split("*"))


def term_features(term: str) -> set[str]:
    """The features that a term depends on."""
    return set() if term == CONSTANT else {factor.partition("^")[0] for factor in term.split("*")}


def af3_features(tokens: int, samples: int, settings: Mapping[str, str]) -> dict[str, float]:
    """Tokens after padding and samples.

    Raises
    ------
    UserError
        No bucket holds so many tokens.
    """
    return {"n": float(af3_settings(settings, tokens).bucket), "s": float(samples)}


def gencast_features(grid_nodes: int, mesh: int, settings: Mapping[str, str]) -> dict[str, float]:
    """Nodes of grid and mesh, and the size of the equal blocks that the grid is cut into."""
    most = gencast_settings(settings).grid_block
    block = math.ceil(grid_nodes / math.ceil(grid_nodes / most)) if most else 0
    mesh_nodes = 10 * 4**mesh + 2
    return {"g": float(grid_nodes), "b": float(block), "m": float(mesh_nodes)}


def features_of(
    workload: Workload | WorkloadRecord, settings: Mapping[str, str]
) -> dict[str, float]:
    """The features of a workload under the model's own knobs.

    Parameters
    ----------
    settings
        Of the configuration; knobs that are not the model's do not matter.
    """
    if workload.model == "af3":
        return af3_features(workload.size, workload.fidelity["samples"], settings)
    source = workload.source
    resolution = float(source.get("resolution", DEFAULT_RESOLUTION))
    mesh = int(source.get("mesh", mesh_for(resolution)))
    return gencast_features(workload.size, mesh, settings)


def resized_features(
    model: str, features: Features, size: float, settings: Mapping[str, str]
) -> dict[str, float]:
    """``features`` at another size (after padding), all else equal."""
    if model == "af3":
        return {**features, "n": size}
    mesh = round(math.log2((features["m"] - 2) / 10) / 2)
    return gencast_features(round(size), mesh, settings)
