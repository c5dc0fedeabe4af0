"""Paths of operations in XLA's metadata, and the modules that they belong to."""

from __future__ import annotations

import pytest

from perfkit.models import get_model

LOOP = "jit(apply_fn)/diffuser/while/body/eval_jaxpr"


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (
            f"{LOOP}/evoformer/while/body/eval_jaxpr/trunk_pairformer/pair_attention1/act_norm/add",
            "pairformer/triangle attention",
        ),
        (
            f"{LOOP}/evoformer/while/body/eval_jaxpr/checkpoint/msa_stack/outer_product_mean/dot",
            "MSA stack/outer product mean",
        ),
        (
            f"{LOOP}/vmap(confidence_head)/while/body/confidence_pairformer/"
            "triangle_multiplication_incoming/center_norm/mul",
            "confidence pairformer/triangle multiplication",
        ),
        (
            f"{LOOP}/vmap(diffusion_head)/transformer/while/body/transformerffw_layer_norm/sub",
            "diffusion transformer/transition",
        ),
        (f"{LOOP}/vmap(diffusion_head)/mul", "diffusion conditioning"),
        ("jit(apply_fn)/diffuser/distogram_head/dot", "distogram head"),
        ("reduce_sum", None),
    ],
)
def test_modules_of_alphafold_3_have_the_names_of_its_authors(
    path: str, module: str | None
) -> None:
    assert get_model("af3").module_of(path) == module


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("jit(step_setup)/while/body/denoiser_call/grid2mesh/dot_general", "grid2mesh"),
        (
            "jit(step_setup)/while/body/denoiser_call/mesh_transformer/attend/dot_general",
            "mesh transformer/attention",
        ),
        ("jit(step_setup)/while/body/denoiser_call/mul", "denoiser, other"),
        ("jit(step_setup)/while/body/cond/noise_set/mul", "noise"),
        ("", None),
    ],
)
def test_modules_of_gencast_are_its_graphs_and_the_noise(path: str, module: str | None) -> None:
    assert get_model("gencast").module_of(path) == module
