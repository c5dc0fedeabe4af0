"""Removes padding that upstream's answer does not depend on, and keeps what it does depend on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

MSA_FEATURES = ("msa", "msa_mask", "deletion_matrix")
"""Features with one row per sequence of the MSA. Upstream pads them to 16,384 rows."""

TEMPLATE_FEATURES = ("template_aatype", "template_atom_positions", "template_atom_mask")
"""Features with one row per template, empty ones last."""

UPSTREAM_TEMPLATES = 4
"""Templates in upstream's features (``max_templates`` of its featurisation)."""

SUBSET_FEATURES = (
    "token_atoms_to_queries",
    "tokens_to_queries",
    "tokens_to_keys",
    "queries_to_keys",
)
"""Gathers with one row per subset of 32 atoms. Upstream has 24 slots for atoms per token."""

FROM_SUBSETS = ("queries_to_keys", "queries_to_token_atoms")
"""Gathers that read from the subsets and store how many there are."""

KEYS = 128
"""Atoms that a subset attends to. Upstream shifts the windows of the last subsets back into the
real atoms. If there are fewer real atoms than this, the last empty slot fills the window, and the
answer depends on the network's result for that slot."""

LEAST_BUCKET = 5
"""Fewest tokens whose slots (24 per token, in whole subsets of 32) fill a window of :data:`KEYS`.
Upstream's featurisation fails with fewer."""

type Arrays = Mapping[str, npt.NDArray[np.generic]]
"""Name of a feature -> its values."""


def used_msa_rows(features: Arrays) -> int:
    """Count the rows of the MSA that are not empty, at least 1. Empty rows come last."""
    return max(1, int(np.asarray(features["msa_mask"]).any(axis=1).sum()))


def with_msa_rows(features: Arrays, rows: int) -> dict[str, npt.NDArray[np.generic]]:
    """Return the features without the empty MSA rows beyond ``rows``.

    Upstream chooses the rows that it uses at random, empty ones last. Its random numbers do not
    depend on how many empty rows follow, so removing them does not change the answer.

    Parameters
    ----------
    features
        The features.
    rows
        Number of MSA rows to keep. Rows that are not empty are always kept.
    """
    kept = max(rows, used_msa_rows(features))
    cut = {name: np.asarray(features[name])[:kept] for name in MSA_FEATURES}
    return {**features, **cut}


def needed_templates(features: Arrays) -> int:
    """Count the templates that the answer depends on: 1 if all are equal, else all.

    Upstream embeds each template by the same network without regard to the others, and takes the
    mean (algorithm 16 of the supplement of J. Abramson et al., Nature 630 (2024), 493-500). The
    mean of equal embeddings is one of them, but for rounding. An input without templates has empty
    ones, which are equal. Where only some are equal, the mean needs all of them. So do features
    with another number of templates than :data:`UPSTREAM_TEMPLATES`: a single one stands for that
    number (:mod:`perfkit.models.af3.network.equal_templates`).
    """
    arrays = [np.asarray(features[name]) for name in TEMPLATE_FEATURES]
    equal = all(bool((array == array[:1]).all()) for array in arrays)
    return 1 if equal and len(arrays[0]) == UPSTREAM_TEMPLATES else len(arrays[0])


def with_templates(features: Arrays, templates: int) -> dict[str, npt.NDArray[np.generic]]:
    """Return the features with the first ``templates`` templates only; see above."""
    cut = {name: np.asarray(features[name])[:templates] for name in TEMPLATE_FEATURES}
    return {**features, **cut}


def needed_bucket(features: Arrays) -> int:
    """Return the smallest bucket, in tokens, that gives the answer of upstream's own buckets.

    With :data:`KEYS` atoms or more, no padding is needed. With fewer, real atoms attend to the
    last empty slot, to which upstream assigns the reference space of the last token
    (``keys_ref_space_uid`` in ``atom_cross_attention.py``). If that token is padding, this is
    space 0, that of the first residue; if it is real, it is another space, and the answer
    changes. One token of padding is therefore needed. More padding changes nothing.

    Parameters
    ----------
    features
        The features at any bucket.
    """
    tokens = int(np.asarray(features["seq_mask"]).sum())
    atoms = int(np.asarray(features["pred_dense_atom_mask"]).sum())
    return tokens if atoms >= KEYS else max(tokens + 1, LEAST_BUCKET)


def used_subsets(features: Arrays) -> int:
    """Count the subsets that contain atoms; all subsets if the answer depends on empty ones."""
    mask = np.asarray(features["token_atoms_to_queries:gather_mask"])
    atoms = int(mask.sum())
    subsets, width = map(int, mask.shape)
    return subsets if atoms < KEYS else -(-atoms // width)


def with_subsets(features: Arrays, subsets: int) -> dict[str, npt.NDArray[np.generic]]:
    """Return the features with the first ``subsets`` subsets of atoms only.

    Real atoms fill the first subsets without a gap and attend within windows of real atoms. Only
    they are gathered back, so the results of empty subsets are never read.
    """
    width = np.asarray(features["token_atoms_to_queries:gather_mask"]).shape[1]
    cut = {
        f"{name}:{array}": np.asarray(features[f"{name}:{array}"])[:subsets]
        for name in SUBSET_FEATURES
        for array in ("gather_idxs", "gather_mask")
    }
    shapes = {f"{name}:input_shape": np.array([subsets, width]) for name in FROM_SUBSETS}
    return {**features, **cut, **shapes}
