"""Writes the files of a prediction: those of upstream's ``run_alphafold.py``, with labels."""

from __future__ import annotations

import csv
import inspect
import io
import json
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.models.af3.featurise import Batch
from perfkit.models.af3.package import import_model
from perfkit.models.af3.run_options import UPSTREAM_FILES, FileOptions
from perfkit.models.prepared import PyTree
from perfkit.printable import printable

if TYPE_CHECKING:
    from alphafold3.common.folding_input import Input

TERMS_OF_USE = "OUTPUT_TERMS_OF_USE.md"
"""File of the package with the terms of use of predictions."""

COMPRESS, KEEP_LICENCE = "compress", "keep_license"
"""Parameters of upstream's ``write_output`` that not every package has."""

SCORE_COLUMNS = ("seed", "sample", "ranking_score")

_EMBEDDINGS = ("single_embeddings", "pair_embeddings")

_COMPRESSED = ".zst"


def write_predictions(
    fold_input: Input,
    batches: Sequence[Batch],
    outputs: Sequence[PyTree],
    folder: Path,
    identifier: bytes,
    notices: Sequence[str],
    options: FileOptions = UPSTREAM_FILES,
) -> list[Path]:
    """Write the files that ``run_alphafold.py`` leaves in the folder of an input.

    Each sample has a folder ``seed-S_sample-N`` with the structure as mmCIF and the confidences as
    JSON. The folder itself has the same three files of the sample with the highest ranking score, a
    table of the ranking scores of all samples, the input as JSON, and the terms of use. Embeddings
    and distograms have folders of their own, one per seed.

    Result files carry the notices where a reader of their format does not meet them: mmCIF files
    and the table as comment lines before the data, JSON under the key ``perfkit_notices``, and
    ``.npz`` as the comment of the archive. The input carries none, because upstream's parser
    refuses keys that it does not know; nor do the terms of use, which are not a result.

    Parameters
    ----------
    fold_input
        Upstream's input with the seeds that were predicted. File names begin with
        :func:`~perfkit.file_names.file_name` of its name.
    batches
        Features of each seed.
    outputs
        Upstream's result for each seed.
    folder
        Folder to write into, empty or not there yet. Nothing is written outside it.
    identifier
        Identifier of the parameters, which upstream stores with a result.
    notices
        Sentences for the files of results.
    options
        Choices of the files.

    Returns
    -------
    list of Path
        The files written.
    """
    model = import_model().Model
    stem = file_name(fold_input.name)
    writer = _Writer(options, notices)
    scores: list[tuple[int, int, float]] = []
    best: tuple[float, Any] | None = None
    for batch, output in zip(batches, outputs, strict=True):
        seed = f"seed-{batch.seed}"
        result = _as_numpy(output) | {"__identifier__": identifier}
        inferred = list(
            model.get_inference_result(
                batch=batch.complete, result=result, target_name=fold_input.name
            )
        )
        for number, prediction in enumerate(inferred):
            sample = f"{seed}_sample-{number}"
            writer.sample(prediction, folder / sample, f"{stem}_{sample}")
            score = float(prediction.metadata["ranking_score"])
            scores.append((batch.seed, number, score))
            # Of equal scores upstream keeps the first.
            if best is None or score > best[0]:
                best = (score, prediction)
        tokens = len(inferred[0].metadata["token_chain_ids"])
        if options.embeddings:
            arrays = embeddings_of(result, tokens)
            writer.embeddings(arrays, folder / f"{seed}_embeddings", f"{stem}_{seed}")
        if options.distogram:
            histogram = result["distogram"]["distogram"][:tokens, :tokens]
            writer.distogram(histogram, folder / f"{seed}_distogram", f"{stem}_{seed}")
    if best is not None:
        writer.sample(best[1], folder, stem)
    writer.scores(scores, folder / f"{stem}_ranking_scores.csv")
    document = folder / f"{stem}_data.json"
    document.write_text(fold_input.to_json(), encoding="utf-8")
    writer.written.append(document)
    if options.terms_of_use:
        writer.terms_of_use(folder)
    return writer.written


def ensure_writable(options: FileOptions) -> tuple[str, ...]:
    """Check what the installed package can write, before anything is predicted.

    Returns
    -------
    tuple of str
        A sentence if the package cannot leave the licence out of mmCIF files.

    Raises
    ------
    UserError
        The package cannot compress.
    """
    offered = _offered_by_upstream()
    if options.compress and COMPRESS not in offered:
        raise UserError(
            "the installed alphafold3 cannot compress its files: leave out "
            "--compress-large-output-files, or install a newer version"
        )
    if options.terms_of_use or KEEP_LICENCE in offered:
        return ()
    return ("the installed alphafold3 always writes the licence into mmCIF files: it stays there",)


def _offered_by_upstream() -> Collection[str]:
    """The parameters of upstream's function that writes a sample; packages differ in them."""
    from alphafold3.model import post_processing

    return inspect.signature(post_processing.write_output).parameters


def embeddings_of(result: Mapping[str, Any], tokens: int) -> dict[str, np.ndarray]:
    """Return the embeddings of a result without padding, as ``run_alphafold.py`` saves them.

    Parameters
    ----------
    result
        Upstream's result of one seed, on the host.
    tokens
        Number of tokens before padding, n.

    Returns
    -------
    dict
        ``single_embeddings`` [n, 384] and ``pair_embeddings`` [n, n, 128], float16.
    """
    single, pair = (result[name] for name in _EMBEDDINGS)
    parts = (single[:tokens], pair[:tokens, :tokens])
    return {name: part.astype(np.float16) for name, part in zip(_EMBEDDINGS, parts, strict=True)}


class _Writer:
    """Writes files, labels those that hold results, and keeps the paths of all.

    Parameters
    ----------
    options
        Choices of the files.
    notices
        Sentences for the files of results.

    Attributes
    ----------
    written
        The files written so far.
    """

    def __init__(self, options: FileOptions, notices: Sequence[str]) -> None:
        self._options = options
        self._notices = notices
        self.written: list[Path] = []

    def sample(self, prediction: Any, folder: Path, name: str) -> None:
        """Write the structure and the confidences of one sample with upstream's own function."""
        from alphafold3.model import post_processing

        wanted = {COMPRESS: self._options.compress, KEEP_LICENCE: self._options.terms_of_use}
        offered = _offered_by_upstream()
        chosen = {option: value for option, value in wanted.items() if option in offered}
        write = partial(post_processing.write_output, prediction, folder, name=name, **chosen)
        self._keep(_made_in(folder, write))

    def embeddings(self, arrays: dict[str, np.ndarray], folder: Path, name: str) -> None:
        """Write the embeddings of a seed with upstream's own function."""
        from alphafold3.model import post_processing

        self._keep(
            _made_in(folder, partial(post_processing.write_embeddings, arrays, folder, name))
        )

    def distogram(self, histogram: np.ndarray, folder: Path, name: str) -> None:
        """Write the distogram of a seed, [n, n, 64], as float16."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}_distogram.npz"
        np.savez_compressed(path, distogram=histogram.astype(np.float16))
        self._keep([path])

    def scores(self, scores: Sequence[tuple[int, int, float]], path: Path) -> None:
        """Write the table of ranking scores; its lines end as those of Python's csv module."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(SCORE_COLUMNS)
            table.writerows(scores)
        self._keep([path])

    def terms_of_use(self, folder: Path) -> None:
        """Copy the package's terms of use of predictions, if it ships them."""
        package = find_spec("alphafold3")
        places = () if package is None else package.submodule_search_locations or ()
        for source in (Path(place, TERMS_OF_USE) for place in places):
            if source.is_file():
                path = folder / "TERMS_OF_USE.md"
                path.write_bytes(source.read_bytes())
                self.written.append(path)
                return

    def _keep(self, paths: Sequence[Path]) -> None:
        add_notices(paths, self._notices)
        self.written += paths


def _made_in(folder: Path, write: Callable[[], object]) -> list[Path]:
    """Return the files that a call has added to a folder, which is created, in order of names."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    write()
    return sorted(set(folder.iterdir()) - before)


def _as_numpy(output: PyTree) -> dict[str, Any]:
    """Copy a result to the host and widen bfloat16 to float32, as upstream's own driver does."""
    import jax
    import jax.numpy as jnp

    def convert(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array

    return dict(jax.tree.map(convert, output))


def add_notices(paths: Sequence[Path], notices: Sequence[str]) -> None:
    """Add notices to files of results in place.

    Parameters
    ----------
    paths
        Files in the formats of :data:`_LABELS`, compressed by zstandard or not, or ``.npz``.
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
        suffix = Path(path.name.removesuffix(_COMPRESSED)).suffix
        if suffix == ".npz":
            with zipfile.ZipFile(path, "a") as archive:
                archive.comment = "\n".join(map(printable, notices)).encode()
        elif suffix in _LABELS:
            _change(path, partial(_LABELS[suffix], notices))
        else:
            raise RuntimeError(f"{path.name} cannot carry the notices of its prediction")


def _as_key(notices: Sequence[str], text: str) -> str:
    return json.dumps({"perfkit_notices": list(notices), **json.loads(text)})


def _as_comments(end: str, notices: Sequence[str], text: str) -> str:
    return "".join(f"# {printable(notice)}{end}" for notice in notices) + text


_LABELS: Mapping[str, Callable[[Sequence[str], str], str]] = {
    ".json": _as_key,
    ".cif": partial(_as_comments, "\n"),
    ".csv": partial(_as_comments, "\r\n"),
}
"""Suffix of a text file -> function that adds notices to its text."""


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file, which may be compressed, in place."""
    data = path.read_bytes()
    if path.suffix != _COMPRESSED:
        path.write_bytes(change(data.decode()).encode())
        return
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as stream:
        text = stream.read().decode()
    path.write_bytes(zstandard.ZstdCompressor().compress(change(text).encode()))
