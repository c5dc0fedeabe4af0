"""Prepares a prediction of AlphaFold 3: its features, parameters and function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.errors import UserError
from perfkit.models.af3.compared import (
    compared_quantities,
    logits_are_small,
    only_what_is_compared,
)
from perfkit.models.af3.depth import first_blocks, make_shallow
from perfkit.models.af3.featurise import Batch, featurise
from perfkit.models.af3.knobs import UPSTREAM_MSA_ROWS, Settings
from perfkit.models.af3.network.kernels import load_kernels, native_kernels
from perfkit.models.af3.network.source import why_all_templates
from perfkit.models.af3.output import ensure_writable, write_predictions
from perfkit.models.af3.package import model_config, transformed
from perfkit.models.af3.padding import (
    KEYS,
    LEAST_BUCKET,
    needed_bucket,
    needed_templates,
    used_msa_rows,
    used_subsets,
    with_msa_rows,
    with_subsets,
    with_templates,
)
from perfkit.models.af3.run_options import (
    UPSTREAM_FEATURES,
    UPSTREAM_FILES,
    FeatureOptions,
    FileOptions,
)
from perfkit.models.af3.weights import (
    IDENTIFIER,
    META,
    SYNTHETIC_NOTICE,
    Parameters,
    let_go,
    real_parameters,
    synthetic_parameters_mapped,
)
from perfkit.models.prepared import Prepared, PyTree
from perfkit.models.shared_knobs import FLOAT32
from perfkit.records.depths import FULL_DEPTH, SHALLOW_DEPTH


def prepare(
    fold_input: Any,
    settings: Settings,
    fidelity: Mapping[str, int],
    parts: Mapping[str, int],
    tokens: int,
    model_dir: Path | None,
    labels: tuple[str, ...] = (),
    *,
    depth: str = FULL_DEPTH,
    labels_files: bool = True,
    features: FeatureOptions = UPSTREAM_FEATURES,
    files: FileOptions = UPSTREAM_FILES,
) -> Prepared:
    """Featurise an input, load the parameters and describe the computation.

    Parameters
    ----------
    fold_input
        Upstream's input, with the seeds to predict.
    settings
        Values of the model's knobs.
    fidelity
        Values of ``recycles``, ``steps`` and ``samples``.
    parts
        How often each part runs for one seed.
    tokens
        Number of tokens of the input before padding.
    model_dir
        Folder of real parameters, or None for synthetic ones.
    labels
        Statements about the fidelity.
    depth
        :data:`~perfkit.records.depths.FULL_DEPTH`, or
        :data:`~perfkit.records.depths.SHALLOW_DEPTH` for the network with fewer blocks.
    labels_files
        Whether the files of results carry the labels.
    features
        Choices of the featurisation.
    files
        Choices of the files that the prediction leaves.

    Raises
    ------
    UserError
        The input or the parameters are bad.
    ConfigurationRefusedError
        The settings ask for native kernels, which cannot be built here.
    """
    import jax
    import jax.numpy as jnp

    from perfkit.models.af3.network.equal_templates import equal_templates

    # Their compilation belongs to no stage that is timed for comparison.
    kernel_notices = load_kernels() if settings.native_kernels else ()

    file_notices = ensure_writable(files)
    batches, bucket_notices = featurise_in_bucket(fold_input, settings.bucket, features)
    used_rows = max(used_msa_rows(batch.numeric) for batch in batches)
    rows = settings.msa_rows or min(used_rows, UPSTREAM_MSA_ROWS)
    config = model_config(
        recycles=fidelity["recycles"],
        steps=fidelity["steps"],
        samples=fidelity["samples"],
        msa_rows=rows,
        bfloat16=settings.upstream_bfloat16,
        confidence_logits=logits_are_small(tokens, fidelity["samples"]),
        distogram=files.distogram,
        global_options=settings.upstream_rows,
    )
    if depth == SHALLOW_DEPTH:
        make_shallow(config)
    forward = transformed(config)

    once = settings.fewest_templates and why_all_templates() is None

    def predict(weights: PyTree, key: Any, example: PyTree) -> PyTree:
        with contextlib.ExitStack() as changes:
            if settings.native_kernels:
                changes.enter_context(native_kernels(packed_weights=weights_are_packed))
            if once:
                changes.enter_context(equal_templates())
            return only_what_is_compared(forward.apply(weights, key, example))

    examples = [
        {name: jnp.asarray(value) for name, value in _trimmed(batch, settings, rows, once).items()}
        for batch in batches
    ]
    parameters, notices = load_parameters(model_dir, settings, examples[0])
    if depth == SHALLOW_DEPTH:
        parameters = first_blocks(parameters)
    keys = [jax.random.PRNGKey(batch.seed) for batch in batches]
    network, weights_are_packed = _laid_out(parameters, settings)
    # Files need no more of the parameters: those that were laid out anew can be freed.
    meta = parameters.get(META, {})
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
        return write_predictions(
            fold_input,
            batches,
            outputs,
            folder,
            _identifier(meta),
            (*notices, *labels) if labels_files else notices,
            files,
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
            *msa_row_notices(used_rows, rows),
            *template_notices(settings),
            *file_notices,
            *kernel_notices,
        ),
        labels=labels,
    )


def _laid_out(parameters: Parameters, settings: Settings) -> tuple[PyTree, bool]:
    """The network's parameters, and whether those of the diffusion transformer are packed."""
    network = {module: leaves for module, leaves in parameters.items() if module != META}
    if not settings.native_kernels:
        return network, False
    # Imports JAX.
    from perfkit.models.af3.network.packed_parameters import with_packed_weights

    return with_packed_weights(network, let_go)


def featurise_in_bucket(
    fold_input: Any, bucket: int, options: FeatureOptions = UPSTREAM_FEATURES
) -> tuple[list[Batch], tuple[str, ...]]:
    """Featurise in ``bucket``, or in the next larger bucket that gives upstream's answer.

    Parameters
    ----------
    fold_input
        Upstream's input.
    bucket
        Number of tokens to pad to.
    options
        Choices of the featurisation.

    Returns
    -------
    batches
        The features of each seed.
    notices
        A sentence if a larger bucket is used.
    """
    batches = featurise(fold_input, max(bucket, LEAST_BUCKET), options=options)
    needed = needed_bucket(batches[0].numeric)
    if needed <= bucket:
        return batches, ()
    if needed > LEAST_BUCKET:
        batches = featurise(fold_input, needed, options=options)
    return batches, (
        f"padded to {needed} tokens instead of {bucket}: an input of fewer than {KEYS} atoms needs "
        "an empty token to give upstream's answer",
    )


def msa_row_notices(used: int, rows: int) -> tuple[str, ...]:
    """Report if the trunk does not see as many rows of the MSA as upstream's does.

    Parameters
    ----------
    used
        Rows of the MSA that are not empty.
    rows
        Rows that the trunk has room for.

    Returns
    -------
    tuple of str
        One sentence, or nothing if the numbers agree.
    """
    seen, upstream = min(used, rows), min(used, UPSTREAM_MSA_ROWS)
    if seen == upstream:
        return ()
    return (
        f"msa_rows={rows}: the trunk sees {seen} of the {used} rows of the MSA, with upstream's "
        f"setting it sees {upstream}; the answer differs from upstream's",
    )


def template_notices(settings: Settings) -> tuple[str, ...]:
    """Report if equal templates are to be embedded once and the package does not need that."""
    reason = why_all_templates() if settings.fewest_templates else None
    return () if reason is None else (f"templates=needed changes nothing: {reason}",)


def _trimmed(
    batch: Batch, settings: Settings, rows: int, templates_once: bool
) -> Mapping[str, Any]:
    """Return the features without the padding that the knobs remove."""
    features = batch.numeric
    if settings.msa_rows is None:
        features = with_msa_rows(features, rows)
    if templates_once:
        features = with_templates(features, needed_templates(features))
    if settings.fewest_atom_slots:
        features = with_subsets(features, used_subsets(features))
    return features


def load_parameters(
    model_dir: Path | None, settings: Settings, example: PyTree
) -> tuple[Parameters, tuple[str, ...]]:
    """Load real parameters, or synthetic ones if there is no folder.

    Parameters
    ----------
    model_dir
        Folder of real parameters, or None.
    settings
        Values of the model's knobs; they determine the precision.
    example
        Features of one seed, from which the shapes of synthetic parameters are traced.

    Returns
    -------
    parameters
        Module path -> parameter name -> array.
    notices
        A sentence if the parameters are synthetic.

    Raises
    ------
    UserError
        The parameters cannot be read, or synthetic ones cannot be written to the cache.
    """
    float32 = settings.precision == FLOAT32
    if model_dir is not None:
        return real_parameters(model_dir, float32=float32), ()

    def shapes() -> PyTree:
        import jax

        low = model_config(recycles=0, steps=1, samples=1, msa_rows=1, bfloat16="all")
        return jax.eval_shape(transformed(low).init, jax.random.PRNGKey(0), example)

    return synthetic_parameters_mapped(shapes, float32=float32), (SYNTHETIC_NOTICE,)


def _identifier(meta: Mapping[str, Any]) -> bytes:
    try:
        return bytes(np.asarray(meta[IDENTIFIER]).tobytes())
    except KeyError:
        raise UserError(
            f"the weights have no identifier ({META}/{IDENTIFIER}): they are not AlphaFold 3's"
        ) from None
