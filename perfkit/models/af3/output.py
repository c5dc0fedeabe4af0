"""What a prediction leaves: mmCIF and confidence JSON as upstream writes them, labelled."""

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

    A folder ``seed-S_sample-N`` for each sample, with the structure as mmCIF and the confidences
    as JSON, and a table of ranking scores. Every file carries the notices: in mmCIF as comment
    lines before the data block, in JSON under the key ``perfkit_notices``, in the table as lines
    that begin with a hash.

    Parameters
    ----------
    name
        Of the fold input; the files' names begin with what :func:`file_name` makes of it.
    folder
        Nothing is written outside it.

    Returns
    -------
    list of Path
        The files written.
    """
    model = import_model().Model
    from alphafold3.model import post_processing

    stem = file_name(name)
    comments = [f"# {printable(notice)}" for notice in notices]
    written: list[Path] = []
    ranking: list[str] = []
    for batch, output in zip(batches, outputs, strict=True):
        result = _as_numpy(output) | {"__identifier__": identifier}
        inferred = model.get_inference_result(batch=batch.complete, result=result, target_name=stem)
        for number, one in enumerate(inferred):
            sample = folder / f"seed-{batch.seed}_sample-{number}"
            sample.mkdir(parents=True, exist_ok=True)
            prefix = f"{stem}_{sample.name}"
            post_processing.write_output(inference_result=one, output_dir=sample, name=prefix)
            made = [path for path in sorted(sample.iterdir()) if path.name.startswith(prefix)]
            _label(made, notices, comments)
            written += made
            ranking.append(f"{batch.seed},{number},{float(one.metadata['ranking_score'])}")
    table = folder / f"{stem}_ranking_scores.csv"
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


def _label(paths: Sequence[Path], notices: Sequence[str], comments: Sequence[str]) -> None:
    """Put notices into files; those of a kind that can hold none would go out unlabelled."""
    if not notices:
        return
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            labelled = json.dumps({"perfkit_notices": list(notices), **json.loads(text)})
        elif path.suffix == ".cif":
            labelled = "\n".join([*comments, text])
        else:
            raise RuntimeError(f"{path.name} cannot carry the notices of its prediction")
        path.write_text(labelled, encoding="utf-8")
