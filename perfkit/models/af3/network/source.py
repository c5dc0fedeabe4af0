"""Reads in the source of the installed AlphaFold 3 what can be replaced in its network.

Imports neither JAX nor ``alphafold3``.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MODULES = "alphafold3.model.network.modules"
"""Module of the network with the trunk, and in ColabFold's build with the places for kernels."""

DIFFUSION = "alphafold3.model.network.diffusion_transformer"
"""Module of the network with the transformers of the diffusion."""

TEMPLATES = "alphafold3.model.network.template_modules"
"""Module of the network with the embedding of templates."""

PLACES = ("PACKED_ATTENTION", "PAIR_PROJECTIONS", "TRIMUL_KERNELS", "GLU_TRANSITION")
"""Variables of :data:`MODULES`. Each is None, or a function that is asked for a kernel by dtype and
shape and may return None."""

BIAS = "+bias"
"""What the name of a linear module with a bias ends with in a :class:`Part`."""


@dataclass(frozen=True)
class Part:
    """A class or function of the network, as far as the replacements depend on it.

    Attributes
    ----------
    arguments
        Names of its arguments, those of ``__call__`` for a class, without ``self``.
    names
        Names that it gives to layer norms, linear modules and other parts, without what they have
        in common; those of modules with a bias end with :data:`BIAS`.
    """

    arguments: tuple[str, ...]
    names: frozenset[str]


def _part(arguments: str, names: str) -> Part:
    return Part(tuple(arguments.split()), frozenset(names.split()))


_PAIR_LOGITS = "pair_input_layer_norm pair_logits_projection"

_ATTENTION = f"q_projection{BIAS} k_projection v_projection gating_query"

TRUNK_PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "get_shard_size": _part("num_residues shard_spec", ""),
        "TransitionBlock": _part("act broadcast_dim", "input_layer_norm transition1 transition2"),
        "GridSelfAttention": _part(
            "act pair_mask",
            "act_norm pair_bias_projection q_projection k_projection v_projection gating_query "
            "output_projection",
        ),
        "TriangleMultiplication": _part(
            "act mask",
            "left_norm_input projection gate center_norm output_projection gating_linear",
        ),
        "PairFormerIteration": _part(
            "act pair_mask single_act seq_mask",
            "triangle_multiplication_outgoing triangle_multiplication_incoming pair_attention1 "
            "pair_attention2 pair_transition single_pair_logits_norm single_pair_logits_projection "
            "single_attention_ single_transition",
        ),
    }
)
"""Parts of :data:`MODULES` that are replaced, and those that belong to them."""

DIFFUSION_PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "adaptive_layernorm": _part(
            "x single_cond name",
            f"layer_norm single_cond_layer_norm single_cond_scale{BIAS} single_cond_bias",
        ),
        "adaptive_zero_init": _part(
            "x num_channels single_cond global_config name",
            f"transition2 adaptive_zero_cond{BIAS}",
        ),
        "transition_block": _part(
            "x num_intermediate_factor global_config single_cond use_glu_kernel name",
            "ffw_ ffw_transition1",
        ),
        "self_attention": _part(
            "x mask pair_logits config global_config single_cond name", _ATTENTION
        ),
        "cross_attention": _part(
            "x_q x_k mask_q mask_k config global_config pair_logits single_cond_q single_cond_k "
            "name",
            f"q k {_ATTENTION}",
        ),
        "Transformer": _part("act mask single_cond pair_cond", _PAIR_LOGITS),
        "CrossAttTransformer": _part(
            "queries_act queries_mask queries_to_keys keys_mask queries_single_cond "
            "keys_single_cond pair_cond",
            _PAIR_LOGITS,
        ),
    }
)
"""Parts of :data:`DIFFUSION` that are replaced or belong to one that is."""


TEMPLATE_PART = _part(
    "query_embedding templates padding_mask_2d multichain_mask_2d key", "output_linear"
)
"""``TemplateEmbedding`` in :data:`TEMPLATES` of a package that embeds each of its templates."""


@functools.cache
def why_no_kernels_in_network() -> str | None:
    """Why the network of the installed package cannot have native kernels; None if it can.

    A clause without a full stop. A package that is not installed is no reason.
    """
    folder = _installed()
    return None if folder is None else why_not_in_folder(folder)


@functools.cache
def why_all_templates() -> str | None:
    """Why the installed package embeds all templates, or equal ones once anyway; None if not.

    None means that perfkit can make it embed equal templates once. A clause without a full stop. A
    package that is not installed is no reason.
    """
    folder = _installed()
    return None if folder is None else why_all_templates_in(folder)


def why_all_templates_in(folder: Path) -> str | None:
    """Why equal templates of a package are not embedded once; see :func:`why_all_templates`.

    Parameters
    ----------
    folder
        Folder of the package ``alphafold3``.
    """
    try:
        found = parts_of((folder / _below(TEMPLATES)).read_text())
    except (OSError, ValueError, SyntaxError):
        return f"{_below(TEMPLATES)} of the installed alphafold3 cannot be read"
    if found.get("TemplateEmbedding") != TEMPLATE_PART:
        return (
            "the installed alphafold3 has another TemplateEmbedding than DeepMind's; that of "
            "ColabFold embeds equal templates once by itself"
        )
    return None


def _installed() -> Path | None:
    """Folder of the installed package; None without one."""
    package = MODULES.partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        # A module that a program made up has no specification.
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _below(module: str) -> str:
    """File of a module, relative to the folder of its package."""
    return "/".join(module.split(".")[1:]) + ".py"


def why_not_in_folder(folder: Path) -> str | None:
    """Why the network of a package cannot have native kernels; None if it can.

    Parameters
    ----------
    folder
        Folder of the package ``alphafold3``.

    Returns
    -------
    str or None
        None if the network has :data:`PLACES`, or if all :data:`TRUNK_PARTS` and
        :data:`DIFFUSION_PARTS` are as expected.
    """
    for module, parts in ((MODULES, TRUNK_PARTS), (DIFFUSION, DIFFUSION_PARTS)):
        below = _below(module)
        try:
            text = (folder / below).read_text()
            if module == MODULES and all(f"\n{place} = " in text for place in PLACES):
                return None
            found = parts_of(text)
        except (OSError, ValueError, SyntaxError):
            return f"{below} of the installed alphafold3 cannot be read"
        for name, expected in parts.items():
            if found.get(name) != expected:
                return (
                    f"the installed alphafold3 has no places for kernels, and its {name} in "
                    f"{below} is not the one that perfkit's kernels replace"
                )
    return None


def parts_of(text: str) -> dict[str, Part]:
    """Return the functions and the classes with a ``__call__`` that a source defines.

    Raises
    ------
    SyntaxError
        The source is no Python.
    """
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = Part(_arguments(node), frozenset(_names(node)))
        elif isinstance(node, ast.ClassDef):
            calls = [
                each
                for each in node.body
                if isinstance(each, ast.FunctionDef) and each.name == "__call__"
            ]
            if calls:
                found[node.name] = Part(_arguments(calls[0])[1:], frozenset(_names(node)))
    return found


def _arguments(function: ast.FunctionDef) -> tuple[str, ...]:
    given = function.args
    starred = [each for each in (given.vararg, given.kwarg) if each is not None]
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *starred]
    return tuple(each.arg for each in every)


def _names(node: ast.AST) -> Iterator[str]:
    """The constants ``name=`` of all calls; of ``f"{name}q_projection"`` what is constant."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        keywords = {each.arg: each.value for each in call.keywords}
        name = keywords.get("name")
        parts = name.values if isinstance(name, ast.JoinedStr) else [name]
        constant = "".join(
            str(each.value) for each in parts if isinstance(each, ast.Constant) and each.value
        )
        if constant:
            bias = keywords.get("use_bias")
            has_bias = bias is not None and not (
                isinstance(bias, ast.Constant) and bias.value is False
            )
            yield constant + (BIAS if has_bias else "")
