"""Cuts padding that upstream adds whatever the input: rows of the MSA and slots of atoms."""

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
