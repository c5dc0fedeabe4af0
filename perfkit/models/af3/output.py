"""Writes the files of a prediction: upstream's mmCIF and confidence JSON, with labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perfkit.file_names import file_name
from perfkit.models.af3.featurise import Batch
from perfkit.models.af3.package import import_model
from perfkit.models.prepared import PyTree
from perfkit.printable import printable


def write_predictions(
    name: str,
    batches: Sequence[Batch],
    outputs: Sequence[PyTree],
    folder: Path,
    identifier: bytes,
    notices: Sequence[str],
) -> list[Path]:
    """Write every sample of every seed as ``run_alphafold.py`` does.

    Each sample gets a folder ``seed-S_sample-N`` with the structure as mmCIF and the confidences
    as JSON. A table lists the ranking scores of all samples. Every file carries the notices: mmCIF
    as comment lines before the data block, JSON under the key ``perfkit_notices``, the table as
    lines that begin with ``#``.

    Parameters
    ----------
    name
        Name of the fold input. File names begin with :func:`~perfkit.file_names.file_name` of it.
    batches
        Features of each seed.
    outputs
        Upstream's result for each seed.
    folder
        Folder to write into. Nothing is written outside it.
    identifier
        Identifier of the parameters, which upstream stores with a result.
    notices
        Sentences that every file carries.

    Returns
    -------
    list of Path
        The files written.
    """
    model = import_model().Model
    from alphafold3.model import post_processing

    stem = file_name(name)
    comments = _comment_lines(notices)
    written: list[Path] = []
    ranking: list[str] = []
    for batch, output in zip(batches, outputs, strict=True):
        result = _as_numpy(output) | {"__identifier__": identifier}
        inferred = model.get_inference_result(batch=batch.complete, result=result, target_name=stem)
        for number, prediction in enumerate(inferred):
            sample = folder / f"seed-{batch.seed}_sample-{number}"
            sample.mkdir(parents=True, exist_ok=True)
            prefix = f"{stem}_{sample.name}"
            post_processing.write_output(
                inference_result=prediction, output_dir=sample, name=prefix
            )
            made = [path for path in sorted(sample.iterdir()) if path.name.startswith(prefix)]
            add_notices(made, notices)
            written += made
            ranking.append(f"{batch.seed},{number},{float(prediction.metadata['ranking_score'])}")
    table = folder / f"{stem}_ranking_scores.csv"
    table.write_text("\n".join([*comments, "seed,sample,ranking_score", *ranking]) + "\n")
    return [*written, table]


def _as_numpy(output: PyTree) -> dict[str, Any]:
    """Copy a result to the host and widen bfloat16 to float32, as upstream's own driver does."""
    import jax
    import jax.numpy as jnp

    def convert(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array

    return dict(jax.tree.map(convert, output))


def _comment_lines(notices: Sequence[str]) -> list[str]:
    return [f"# {printable(notice)}" for notice in notices]


def add_notices(paths: Sequence[Path], notices: Sequence[str]) -> None:
    """Add notices to files in place.

    Parameters
    ----------
    paths
        JSON and mmCIF files.
    notices
        Sentences to add; without any, nothing is changed.

    Raises
    ------
    RuntimeError
        A file has another format and would stay without its notices.
    """
    if not notices:
        return
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            labelled = json.dumps({"perfkit_notices": list(notices), **json.loads(text)})
        elif path.suffix == ".cif":
            labelled = "\n".join([*_comment_lines(notices), text])
        else:
            raise RuntimeError(f"{path.name} cannot carry the notices of its prediction")
        path.write_text(labelled, encoding="utf-8")
