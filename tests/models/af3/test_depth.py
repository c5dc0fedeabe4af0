"""AlphaFold 3's shallow network: the first blocks of the full one, and the same outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.af3.depth import STACKS, first_blocks
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.package import import_model
from perfkit.models.af3.weights import real_parameters, synthetic_parameters_mapped
from perfkit.models.base import REST
from perfkit.models.depth import Blocks
from perfkit.paths import CACHE_VARIABLE
from perfkit.records.depths import SHALLOW_DEPTH

MODEL = AlphaFold3()

TRUNK = (
    "diffuser/evoformer/__layer_stack_no_per_layer_1/trunk_pairformer/pair_transition/transition1"
)
MSA = "diffuser/evoformer/__layer_stack_no_per_layer/msa_stack/outer_product_mean"
SUPER_BLOCK = "diffuser/~/diffusion_head/transformer/__layer_stack_with_per_layer"
CONFIDENCE = "diffuser/confidence_head/__layer_stack_no_per_layer/confidence_pairformer/act_norm"
TEMPLATES = (
    "diffuser/evoformer/template_embedding/single_template_embedding/__layer_stack_no_per_layer/"
    "template_embedding_iteration/pair_transition/transition1"
)
ATOMS = (
    "diffuser/~/diffusion_head/diffusion_atom_transformer_decoder/__layer_stack_with_per_layer/"
    "diffusion_atom_transformer_decoderffw_transition1"
)

SHAPES = {
    TRUNK: ((48, 3, 5), 8),
    MSA: ((4, 2), 1),
    f"{SUPER_BLOCK}/__layer_stack_with_per_layer/transformerq_projection": ((6, 4, 3), 2),
    f"{SUPER_BLOCK}/pair_logits_projection": ((6, 2, 4), 2),
    CONFIDENCE: ((4, 7), 1),
    TEMPLATES: ((2, 3), 2),
    ATOMS: ((3, 5), 3),
    "diffuser/distogram_head/half_logits": ((9, 5), 9),
}
"""Module -> shape of its weights in the published file, and entries that the shallow network keeps.
Templates, atoms and heads keep all."""


def test_stacks_have_the_blocks_of_the_published_network() -> None:
    pytest.importorskip("alphafold3", reason="upstream's configuration")
    config = import_model().Model.Config()
    for stack in STACKS.values():
        found = config
        for attribute in stack.option:
            found = getattr(found, attribute)
        assert found == stack.blocks.full * stack.layers_per_block
    assert config.evoformer.template.template_stack.num_layer == 2
    assert config.heads.diffusion.transformer.super_block_size == 4


def test_the_first_blocks_of_a_file_in_the_published_format_are_kept(tmp_path: Path) -> None:
    params = pytest.importorskip("alphafold3.model.params", reason="upstream's format")
    arrays = {
        module: np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for module, (shape, _) in SHAPES.items()
    }
    identifier = np.frombuffer(b"hand-made", np.uint8)
    records = [params.encode_record(name, "weights", array) for name, array in arrays.items()]
    records.append(params.encode_record("__meta__", "__identifier__", identifier))
    (tmp_path / "af3.bin").write_bytes(b"".join(records))
    kept = first_blocks(real_parameters(tmp_path, float32=True))
    assert kept.keys() == {*SHAPES, "__meta__"}
    for module, (_, entries) in SHAPES.items():
        np.testing.assert_array_equal(kept[module]["weights"], arrays[module][:entries])
    assert bytes(np.asarray(kept["__meta__"]["__identifier__"])) == b"hand-made"


def test_blocks_of_mapped_parameters_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    tree = {
        module: {"weights": SimpleNamespace(shape=shape, dtype="bfloat16")}
        for module, (shape, _) in SHAPES.items()
    }
    full = synthetic_parameters_mapped(lambda: tree, float32=False, package={})
    kept = first_blocks(full)
    for module, (shape, entries) in SHAPES.items():
        array = kept[module]["weights"]
        assert array.shape == (entries, *shape[1:])
        assert array.dtype == ml_dtypes.bfloat16
        assert np.shares_memory(array, full[module]["weights"])
        # JAX uses arrays without a copy only at this alignment.
        assert array.ctypes.data % 64 == 0


LOOP = "jit(predict)/diffuser/while/body/eval_jaxpr"


@pytest.mark.parametrize(
    ("path", "stack"),
    [
        (
            f"{LOOP}/evoformer/while/body/eval_jaxpr/checkpoint/trunk_pairformer/"
            "pair_attention1/act_norm/add",
            "pairformer",
        ),
        (f"{LOOP}/evoformer/while/body/eval_jaxpr/checkpoint/msa_stack/add", "MSA stack"),
        # The parameters of a block are selected in loops without a name.
        (f"{LOOP}/evoformer/while/body/jit(dynamic_index_in_dim)/dynamic_slice", None),
        (
            f"{LOOP}/vmap(diffusion_head)/transformer/while/body/jit(dynamic_index_in_dim)/"
            "dynamic_slice",
            "diffusion transformer",
        ),
        # The norm before the blocks runs once per step, whatever their number.
        (f"{LOOP}/vmap(diffusion_head)/transformer/pair_input_layer_norm/mul", REST),
        (f"{LOOP}/vmap(confidence_head)/while/body/add", "confidence pairformer"),
        (f"{LOOP}/vmap(confidence_head)/mul", REST),
        (f"{LOOP}/evoformer/template_embedding/while/body/add", REST),
        (f"weights['{TRUNK}']['weights']", "pairformer"),
        (f"weights['{SUPER_BLOCK}/pair_logits_projection']", "diffusion transformer"),
        ("jit(predict)/diffuser/distogram_head/dot", REST),
        ("", None),
    ],
)
def test_operations_belong_to_the_stack_in_their_path(path: str, stack: str | None) -> None:
    assert MODEL.stack_of(path) == stack


@dataclass(frozen=True)
class Passes:
    """A shallow pass of 12 residues, and what a full one would take and give."""

    shallow: Any
    outputs: Any
    full_arguments: Any
    full_outputs: Any


@pytest.fixture(scope="module")
def passes() -> Passes:
    jax = pytest.importorskip("jax")
    pytest.importorskip("alphafold3", reason="the real model")
    from tests.support.quick_compilation import quick_jit

    workload = MODEL.workload({"size": 12}, {"steps": 2})
    shallow_of_it = MODEL.shallow(workload)
    assert shallow_of_it is not None
    cut = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed"}
    full = MODEL.prepare(workload, cut)
    shallow = MODEL.prepare(shallow_of_it, cut)
    outputs = shallow.drive(quick_jit(shallow.function))
    return Passes(
        shallow, outputs, full.arguments, [jax.eval_shape(full.function, *full.arguments)]
    )


def test_the_shallow_network_has_the_outputs_of_the_full_one(passes: Passes) -> None:
    import jax

    described = [
        jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), outputs)
        for outputs in (passes.outputs, passes.full_outputs)
    ]
    assert described[0] == described[1]
    compared = passes.shallow.compared(passes.outputs)
    assert {"pair_embedding", "denoising_step", "plddt", "pae"} <= compared.keys()
    assert all(np.isfinite(values).all() for values in compared.values())


def test_the_shallow_network_has_the_first_blocks_of_the_full_parameters(passes: Passes) -> None:
    shallow, full = passes.shallow.arguments[0], passes.full_arguments[0]
    assert shallow.keys() == full.keys()
    blocks = {
        "/trunk_pairformer/": 8,
        "/msa_stack/": 1,
        "/diffusion_head/transformer/__layer_stack": 2,
        "/confidence_pairformer/": 1,
    }
    sliced = set()
    for module, leaves in full.items():
        found = next((part for part in blocks if part in module), None)
        for name, leaf in leaves.items():
            expected = leaf if found is None else leaf[: blocks[found]]
            assert np.array_equal(np.asarray(shallow[module][name]), np.asarray(expected)), module
        sliced.add(found)
    assert sliced == {*blocks, None}


def test_the_shallow_network_writes_no_prediction(passes: Passes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the workload at full depth"):
        passes.shallow.write(passes.outputs, tmp_path)
    assert not list(tmp_path.iterdir())


def test_parts_and_stacks_are_those_of_the_full_network() -> None:
    workload = MODEL.workload({"size": 8}, {})
    shallow = MODEL.shallow(workload)
    assert shallow is not None
    assert shallow.depth == SHALLOW_DEPTH
    assert MODEL.part_counts(shallow.fidelity, shallow) == MODEL.part_counts(workload.fidelity)
    assert MODEL.stacks(shallow)["diffusion transformer"] == Blocks(2, 6)
