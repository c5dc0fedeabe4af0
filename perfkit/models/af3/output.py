"""What a prediction leaves: mmCIF and confidence JSON as upstream writes them, labelled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.models.af3.featurise import Batch
from perfkit.models.af3.package import import_model
from perfkit.models.base import PyTree


def write_predictions(
    name: str,
    batches: Sequence[Batch],
    outputs: Sequence[PyTree],
    folder: Path,
    identifier: bytes,
    notices: Sequence[str],
) -> list[Path]:
    """Write every sample of every seed as ``run_alphafold.py`` does.

    A folder ``seed-S_sample-N`` a sample, with the structure as mmCIF and the confidences as
    JSON, and a table of ranking scores. Every file carries the notices: in mmCIF as comment
    lines before the data block, in JSON under the key ``perfkit_notices``, in the table as lines
    that begin with a hash.

    Returns
    -------
    list of Path
        The files written.
    """
    model = import_model().Model
    from alphafold3.model import post_processing

    written: list[Path] = []
    ranking: list[str] = []
    for batch, output in zip(batches, outputs, strict=True):
        result = _as_numpy(output) | {"__identifier__": identifier}
        inferred = model.get_inference_result(batch=batch.complete, result=result, target_name=name)
        for number, one in enumerate(inferred):
            sample = folder / f"seed-{batch.seed}_sample-{number}"
            sample.mkdir(parents=True, exist_ok=True)
            prefix = f"{name}_{sample.name}"
            post_processing.write_output(inference_result=one, output_dir=sample, name=prefix)
            written += _labelled(sorted(sample.glob(f"{prefix}_*")), notices)
            ranking.append(f"{batch.seed},{number},{float(one.metadata['ranking_score'])}")
    table = folder / f"{name}_ranking_scores.csv"
    comments = [f"# {notice}" for notice in notices]
    table.write_text("\n".join([*comments, "seed,sample,ranking_score", *ranking]) + "\n")
    return [*written, table]


def _as_numpy(output: PyTree) -> dict[str, Any]:
    """The result on the host, bfloat16 widened, as upstream's own driver does."""
    import jax
    import jax.numpy as jnp

    def convert(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array

    return dict(jax.tree.map(convert, output))


def _labelled(paths: Sequence[Path], notices: Sequence[str]) -> list[Path]:
    for path in paths:
        if not notices:
            continue
        text = path.read_text()
        if path.suffix == ".json":
            path.write_text(json.dumps({"perfkit_notices": list(notices), **json.loads(text)}))
        elif path.suffix == ".cif":
            path.write_text("".join(f"# {notice}\n" for notice in notices) + text)
    return list(paths)
