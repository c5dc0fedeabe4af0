"""A program that predicts as DeepMind's ``run_alphafold.py`` does, with a network of few blocks.

Usage: ``fold_program.py INPUTS WEIGHTS OUTPUT BFLOAT16``. The first three are folders; the last is
the option ``bfloat16`` of the network. From perfkit it takes the chemical components alone, which
the wheel of the package lacks.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from perfkit.models.af3.chemistry.components import ccd_for
from perfkit.models.af3.chemistry.glycan_ion_sets import provide_glycan_ion_sets
from perfkit.models.af3.synthetic_weights import shapes_of, synthetic_parameters

# The package reads the component sets when it is imported.
provide_glycan_ion_sets()

from alphafold3.common import folding_input  # noqa: E402
from alphafold3.data import featurisation  # noqa: E402
from alphafold3.model import model, params  # noqa: E402
from alphafold3.model.components import utils  # noqa: E402

BUCKETS = (32, 64)


def make_config(bfloat16: str) -> Any:
    """Make a configuration as a user would, for one pass of the trunk and two diffusion steps."""
    config = model.Model.Config()
    config.global_config.flash_attention_implementation = "xla"
    config.global_config.bfloat16 = bfloat16
    config.num_recycles = 0
    config.heads.diffusion.eval.num_samples = 1
    config.heads.diffusion.eval.steps = 2
    config.evoformer.pairformer.num_layer = 1
    config.evoformer.msa_stack.num_layer = 1
    config.heads.diffusion.transformer.num_blocks = 4
    config.heads.confidence.pairformer.num_layer = 1
    return config


class ModelRunner:
    """Runs the network, as the class of this name in ``run_alphafold.py``."""

    def __init__(self, config: Any, model_dir: Path) -> None:
        self._model_config = config
        self._model_dir = model_dir

    @functools.cached_property
    def model_params(self) -> Any:
        return params.get_model_haiku_params(model_dir=self._model_dir)

    @functools.cached_property
    def _model(self) -> Any:
        @hk.transform
        def forward_fn(batch: Any) -> Any:
            return model.Model(self._model_config)(batch)

        return functools.partial(jax.jit(forward_fn.apply), self.model_params)

    def run_inference(self, example: Any, rng_key: Any) -> Any:
        arrays = jax.tree_util.tree_map(jnp.asarray, utils.remove_invalidly_typed_feats(example))
        result = jax.tree.map(np.asarray, self._model(rng_key, arrays))
        widened = jax.tree.map(
            lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, result
        )
        identifier = self.model_params["__meta__"]["__identifier__"].tobytes()
        return {**widened, "__identifier__": identifier}


def predict(path: Path, runner: ModelRunner, output: Path) -> None:
    """Predict an input, and save the positions of the atoms and the scores of each seed."""
    fold_input = folding_input.Input.from_json(path.read_text())
    examples = featurisation.featurise_input(
        fold_input=fold_input, buckets=BUCKETS, ccd=ccd_for(fold_input), verbose=True
    )
    for seed, example in zip(fold_input.rng_seeds, examples, strict=True):
        print(f"Running model inference with seed {seed}...")
        result = runner.run_inference(example, jax.random.PRNGKey(seed))
        (inferred,) = model.Model.get_inference_result(
            batch=example, result=result, target_name=fold_input.name
        )
        np.savez(
            output / f"{fold_input.name}-{seed}.npz",
            positions=inferred.predicted_structure.coords,
            pae=inferred.numerical_data["full_pae"],
        )


def write_weights(path: Path, folder: Path) -> None:
    """Write synthetic weights of the network in the format of the package.

    Parameters
    ----------
    path
        An input, which the network is initialised with.
    folder
        Folder of the weights.
    """
    fold_input = folding_input.Input.from_json(path.read_text())
    (example, *_) = featurisation.featurise_input(
        fold_input=fold_input, buckets=BUCKETS, ccd=ccd_for(fold_input)
    )
    batch = utils.remove_invalidly_typed_feats(example)
    config = make_config("all")
    network = hk.transform(lambda batch: model.Model(config)(batch))
    shapes = jax.eval_shape(network.init, jax.random.PRNGKey(0), batch)
    label = np.frombuffer(b"synthetic", np.uint8)
    with (folder / "af3.bin").open("wb") as stream:
        stream.write(params.encode_record("__meta__", "__identifier__", label))
        for shape, values in synthetic_parameters(shapes_of(shapes)):
            dtype = ml_dtypes.bfloat16 if shape.dtype == "bfloat16" else np.float32
            stream.write(params.encode_record(shape.module, shape.name, values.astype(dtype)))


def main(arguments: list[str]) -> None:
    """Predict all inputs of a folder."""
    inputs, weights, output = map(Path, arguments[:3])
    runner = ModelRunner(make_config(bfloat16=arguments[3]), weights)
    for path in sorted(inputs.glob("*.json")):
        predict(path, runner, output)


if __name__ == "__main__":
    main(sys.argv[1:])
