"""Padding that upstream's answer does not need, and the little that it does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

MSA_FEATURES = ("msa", "msa_mask", "deletion_matrix")
"""Features with a row a sequence of the MSA, padded by upstream to 16,384 rows."""

SUBSET_FEATURES = (
    "token_atoms_to_queries",
    "tokens_to_queries",
    "tokens_to_keys",
    "queries_to_keys",
)
"""Gathers with a row a subset of 32 atoms; upstream makes room for 24 atoms a token."""

FROM_SUBSETS = ("queries_to_keys", "queries_to_token_atoms")
"""Gathers that read from the subsets, and carry their number."""

KEYS = 128
"""Atoms that a subset attends to. Upstream shifts the windows of the last subsets back into the
real atoms. Where there are fewer of those, the last empty slot fills the window, and what the
network makes of that slot is seen."""

LEAST_BUCKET = 5
"""Fewest tokens whose slots, 24 a token in whole subsets of 32, fill a window of :data:`KEYS`;
upstream's featurisation fails on fewer."""

type Arrays = Mapping[str, npt.NDArray[np.generic]]


def used_msa_rows(features: Arrays) -> int:
    """Rows of the MSA that hold anything; they come before all empty ones."""
    return max(1, int(np.asarray(features["msa_mask"]).any(axis=1).sum()))


def with_msa_rows(features: Arrays, rows: int) -> dict[str, npt.NDArray[np.generic]]:
    """The features without empty MSA rows beyond ``rows``.

    Upstream draws which rows it keeps at random, empty ones last, with numbers that do not
    depend on how many empty rows follow: cutting them changes nothing.
    """
    kept = max(rows, used_msa_rows(features))
    cut = {name: np.asarray(features[name])[:kept] for name in MSA_FEATURES}
    return {**features, **cut}


def needed_bucket(features: Arrays) -> int:
    """Tokens to pad to at the least for the answer that upstream's own buckets give.

    With :data:`KEYS` atoms or more, the tokens of the input are enough. With fewer, real atoms
    attend to the last empty slot, which upstream takes to share the reference space of the last
    token (``keys_ref_space_uid`` in ``atom_cross_attention.py``). If that token is padding, this
    is space 0, the first residue's; if it is real, it is another one, and the answer changes. One
    token of padding is therefore needed; more of it changes nothing.

    Parameters
    ----------
    features
        The features at any bucket.
    """
    tokens = int(np.asarray(features["seq_mask"]).sum())
    atoms = int(np.asarray(features["pred_dense_atom_mask"]).sum())
    return tokens if atoms >= KEYS else max(tokens + 1, LEAST_BUCKET)


def used_subsets(features: Arrays) -> int:
    """Subsets of atoms that hold any; all of them where empty ones are seen."""
    mask = np.asarray(features["token_atoms_to_queries:gather_mask"])
    atoms = int(mask.sum())
    subsets, width = map(int, mask.shape)
    return subsets if atoms < KEYS else -(-atoms // width)


def with_subsets(features: Arrays, subsets: int) -> dict[str, npt.NDArray[np.generic]]:
    """The features without empty subsets of atoms beyond ``subsets``.

    Real atoms fill the first subsets without a gap, attend within windows of real atoms, and are
    all that is gathered back: what empty subsets compute is never read.
    """
    width = np.asarray(features["token_atoms_to_queries:gather_mask"]).shape[1]
    cut = {
        f"{name}:{array}": np.asarray(features[f"{name}:{array}"])[:subsets]
        for name in SUBSET_FEATURES
        for array in ("gather_idxs", "gather_mask")
    }
    shapes = {f"{name}:input_shape": np.array([subsets, width]) for name in FROM_SUBSETS}
    return {**features, **cut, **shapes}
