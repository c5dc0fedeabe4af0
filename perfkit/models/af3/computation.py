"""AlphaFold 3 as a prepared computation: batches, parameters, the function, what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.errors import UserError
from perfkit.models.af3.featurise import Batch, featurise
from perfkit.models.af3.knobs import UPSTREAM_MSA_ROWS, Settings
from perfkit.models.af3.output import write_predictions
from perfkit.models.af3.package import model_config, transformed
from perfkit.models.af3.padding import (
    KEYS,
    LEAST_BUCKET,
    needed_bucket,
    used_msa_rows,
    used_subsets,
    with_msa_rows,
    with_subsets,
)
from perfkit.models.af3.weights import (
    SYNTHETIC_NOTICE,
    Parameters,
    real_parameters,
    synthetic_parameters_mapped,
)
from perfkit.models.base import Prepared, PyTree
from perfkit.models.shared_knobs import FLOAT32

LARGEST_LOGITS_BYTES = 64 << 20
"""Above this the confidence head's logits stay inside the program, so that comparing parts does
not decide how much memory a prediction needs; its decoded scores are compared in any case."""

LOGIT_BINS = 64
"""Bins of the logits of a token pair, of which there are two sets (aligned and distance error)."""

CHAOTIC_STEPS = 20
"""Diffusion steps beyond which what follows from the sample is not compared: rounding grows from
step to step until two right programs have different structures."""

LOGITS = {
    "plddt_logits": "predicted_lddt_logits",
    "pae_logits": "predicted_aligned_error_logits",
    "pde_logits": "predicted_distance_error_logits",
}
"""What the confidence head's logits are called here and by upstream."""


def prepare(
    fold_input: Any,
    settings: Settings,
    fidelity: Mapping[str, int],
    parts: Mapping[str, int],
    tokens: int,
    model_dir: Path | None,
    labels: tuple[str, ...] = (),
) -> Prepared:
    """Featurise the input, load parameters and describe the computation.

    Parameters
    ----------
    fold_input
        Upstream's input, with as many seeds as are to be predicted.
    settings, fidelity
        How it is computed and how much of it.
    parts
        How often each part runs for one seed.
    tokens
        Tokens of the input before padding.
    model_dir
        Folder of real parameters, or None for synthetic ones.
    labels
        What every file of the prediction says of its fidelity.

    Raises
    ------
    UserError
        Input or parameters are bad.
    """
    import jax
    import jax.numpy as jnp

    batches, bucket_notices = _featurised(fold_input, settings.bucket)
    used_rows = max(used_msa_rows(batch.numeric) for batch in batches)
    rows = settings.msa_rows or min(used_rows, UPSTREAM_MSA_ROWS)
    config = model_config(
        recycles=fidelity["recycles"],
        steps=fidelity["steps"],
        samples=fidelity["samples"],
        msa_rows=rows,
        bfloat16=settings.upstream_bfloat16,
        confidence_logits=_logits_bytes(tokens, fidelity["samples"]) <= LARGEST_LOGITS_BYTES,
    )
    forward = transformed(config)

    def predict(weights: PyTree, key: Any, example: PyTree) -> PyTree:
        return _only_what_is_compared(forward.apply(weights, key, example))

    examples = [
        {name: jnp.asarray(value) for name, value in _trimmed(batch, settings, rows).items()}
        for batch in batches
    ]
    parameters, notices = _parameters(model_dir, settings, examples[0])
    keys = [jax.random.PRNGKey(batch.seed) for batch in batches]
    network = {module: leaves for module, leaves in parameters.items() if module != "__meta__"}
    weights = jax.device_put(network)

    if settings.constants:

        def baked(key: Any, example: PyTree) -> PyTree:
            return predict(weights, key, example)

        function: Callable[..., PyTree] = baked
        runs: list[tuple[Any, ...]] = list(zip(keys, examples, strict=True))
    else:
        function = predict
        runs = [(weights, key, example) for key, example in zip(keys, examples, strict=True)]

    def drive(compiled: Callable[..., PyTree]) -> PyTree:
        return [compiled(*run) for run in runs]

    def write(outputs: PyTree, folder: Path) -> Sequence[Path]:
        told = (*notices, *labels)
        return write_predictions(
            fold_input.name, batches, outputs, folder, _identifier(parameters), told
        )

    return Prepared(
        function=function,
        arguments=runs[0],
        drive=drive,
        parts={name: count * len(runs) for name, count in parts.items()},
        compared=lambda outputs: compared_quantities(outputs[0], tokens, fidelity["steps"]),
        write=write,
        notices=(
            *batches[0].notices,
            *notices,
            *bucket_notices,
            *_row_notices(used_rows, rows),
        ),
        labels=labels,
    )


def compared_quantities(result: PyTree, tokens: int, steps: int) -> dict[str, np.ndarray]:
    """What is held against the reference: first seed, first sample, padding cut off.

    Parameters
    ----------
    result
        Upstream's result of one seed.
    tokens
        Tokens before padding, n.
    steps
        Diffusion steps; beyond :data:`CHAOTIC_STEPS` the sample and its confidence are left out.

    Returns
    -------
    dict
        ``single_embedding`` [n, 384], ``pair_embedding`` [n, n, 128], ``denoising_step``
        [atoms, 3] in ångström: the state after the first step; ``atom_positions`` [atoms, 3] in
        ångström, ``plddt`` [atoms], ``pae`` [n, n] in ångström, and the logits that
        :data:`LOGITS` names, [atoms, bins] and [n, n, bins]. A step and logits only where
        the installed package returns them.
    """
    samples = result["diffusion_samples"]
    mask = np.asarray(samples["mask"])[0, :tokens].astype(bool)
    quantities = {
        "single_embedding": np.asarray(result["single_embeddings"])[:tokens],
        "pair_embedding": np.asarray(result["pair_embeddings"])[:tokens, :tokens],
    }
    if "trajectory" in samples:
        quantities["denoising_step"] = np.asarray(samples["trajectory"])[0, 0, :tokens][mask]
    if steps <= CHAOTIC_STEPS:
        quantities["atom_positions"] = np.asarray(samples["atom_positions"])[0, :tokens][mask]
        quantities["plddt"] = np.asarray(result["predicted_lddt"])[0, :tokens][mask]
        quantities["pae"] = np.asarray(result["full_pae"])[0, :tokens, :tokens]
        for name, key in LOGITS.items():
            if key in result:
                # Those of pLDDT are one set an atom, the others one a pair of tokens.
                where = mask if name == "plddt_logits" else np.s_[:, :tokens]
                quantities[name] = np.asarray(result[key])[0, :tokens][where]
    return {name: np.asarray(value, np.float32) for name, value in quantities.items()}


def _logits_bytes(tokens: int, samples: int) -> int:
    """Size of the logits of all token pairs and samples, in float32."""
    return 2 * 4 * LOGIT_BINS * samples * tokens**2


def _only_what_is_compared(result: PyTree) -> PyTree:
    """The result with the state after the first step, and logits, of the first sample only."""
    kept = dict(result)
    samples = dict(kept["diffusion_samples"])
    if "trajectory" in samples:
        samples["trajectory"] = samples["trajectory"][:1, :1]
    kept["diffusion_samples"] = samples
    return kept | {key: kept[key][:1] for key in LOGITS.values() if key in kept}


def _featurised(fold_input: Any, bucket: int) -> tuple[list[Batch], tuple[str, ...]]:
    """The features in ``bucket``, or in the next larger one that gives upstream's answer."""
    batches = featurise(fold_input, max(bucket, LEAST_BUCKET))
    needed = needed_bucket(batches[0].numeric)
    if needed <= bucket:
        return batches, ()
    if needed > LEAST_BUCKET:
        batches = featurise(fold_input, needed)
    return batches, (
        f"padded to {needed} tokens instead of {bucket}: an input of fewer than {KEYS} atoms needs "
        "an empty token for upstream's answer",
    )


def _row_notices(used: int, rows: int) -> tuple[str, ...]:
    """Says so where the trunk sees other rows of the MSA than upstream's does."""
    seen, upstream = min(used, rows), min(used, UPSTREAM_MSA_ROWS)
    if seen == upstream:
        return ()
    return (
        f"msa_rows={rows}: the trunk sees {seen} of the MSA's {used} rows, upstream's {upstream}; "
        "the answer is not upstream's",
    )


def _trimmed(batch: Batch, settings: Settings, rows: int) -> Mapping[str, Any]:
    """The features, without padding that the knobs say is not wanted."""
    features = batch.numeric
    if settings.msa_rows is None:
        features = with_msa_rows(features, rows)
    if settings.fewest_atom_slots:
        features = with_subsets(features, used_subsets(features))
    return features


def _parameters(
    model_dir: Path | None, settings: Settings, example: PyTree
) -> tuple[Parameters, tuple[str, ...]]:
    float32 = settings.precision == FLOAT32
    if model_dir is not None:
        return real_parameters(model_dir, float32=float32), ()

    def shapes() -> PyTree:
        import jax

        low = model_config(recycles=0, steps=1, samples=1, msa_rows=1, bfloat16="all")
        return jax.eval_shape(transformed(low).init, jax.random.PRNGKey(0), example)

    return synthetic_parameters_mapped(shapes, float32=float32), (SYNTHETIC_NOTICE,)


def _identifier(parameters: Parameters) -> bytes:
    try:
        return bytes(np.asarray(parameters["__meta__"]["__identifier__"]).tobytes())
    except KeyError:
        raise UserError(
            "the weights carry no identifier (__meta__/__identifier__): they are not AlphaFold 3's"
        ) from None
