"""Removing padding does not change what real atoms and sequences read and write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from perfkit.models.af3.computation import msa_row_notices
from perfkit.models.af3.featurise import featurise
from perfkit.models.af3.inputs.fold_input import synthetic_protein
from perfkit.models.af3.padding import (
    TEMPLATE_FEATURES,
    needed_bucket,
    needed_templates,
    used_msa_rows,
    used_subsets,
    with_msa_rows,
    with_subsets,
    with_templates,
)

if TYPE_CHECKING:
    from perfkit.models.af3.featurise import Batch

type Featurised = Callable[[str], list[Batch]]
type Floats = npt.NDArray[np.float64]

_KINDS = ["ubiquitin", "nucleoprotein", "holo", "modified", "glycoprotein", "own_component"]


def _gathered(features: Mapping[str, Any], name: str, values: Floats, axes: int) -> Floats:
    """Gather from ``values`` with upstream's own function."""
    from alphafold3.model.atom_layout import atom_layout

    info = atom_layout.GatherInfo.from_dict(dict(features), key_prefix=name)
    found = atom_layout.convert(info, values, layout_axes=tuple(range(axes)))
    return np.asarray(found)


def _seen(features: Mapping[str, Any], values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return queries and keys of each subset, the tokens of the keys, and the gathered result."""
    queries = _gathered(features, "token_atoms_to_queries", values, 2)
    keys = _gathered(features, "queries_to_keys", queries, 2)
    tokens = _gathered(features, "tokens_to_keys", values[:, 0], 1)
    back = _gathered(features, "queries_to_token_atoms", queries, 2)
    return queries, keys, tokens, back


@pytest.mark.parametrize("name", _KINDS)
def test_real_atoms_read_and_write_the_same(name: str, featurised: Featurised) -> None:
    features = featurised(name)[0].numeric
    cut = with_subsets(features, used_subsets(features))
    values = np.random.default_rng(0).normal(size=features["pred_dense_atom_mask"].shape)
    whole, short = _seen(features, values), _seen(cut, values)
    atoms = int(np.asarray(features["pred_dense_atom_mask"]).sum())
    real = -(-atoms // 32)
    for before, after in zip(whole[:3], short[:3], strict=True):
        assert np.array_equal(before[:real], after[:real])
    assert np.array_equal(whole[3], short[3])


def test_ubiquitin_keeps_19_of_57_subsets(featurised: Featurised) -> None:
    """602 atoms fill 19 subsets of 32; 76 tokens of 24 slots are 1824 slots, 57 subsets."""
    features = featurised("ubiquitin")[0].numeric
    assert features["token_atoms_to_queries:gather_mask"].shape == (57, 32)
    cut = with_subsets(features, used_subsets(features))
    assert cut["token_atoms_to_queries:gather_mask"].shape == (19, 32)
    assert cut["queries_to_keys:gather_idxs"].shape == (19, 128)
    assert cut["queries_to_token_atoms:input_shape"].tolist() == [19, 32]


def test_fewer_atoms_than_a_window_of_keys_keep_their_padding(featurised: Featurised) -> None:
    """Upstream fills such windows with the last empty slot, whose result affects the answer."""
    features = featurised("own_component")[0].numeric
    assert np.asarray(features["queries_to_keys:gather_idxs"])[2, 0] == 6 * 32 - 1
    assert used_subsets(features) == 6


@pytest.mark.parametrize(
    ("residues", "atoms", "bucket"),
    [
        (1, 12, 5),
        (4, 35, 5),
        (9, 77, 10),
        (15, 120, 16),
        (16, 131, 16),
    ],
)
def test_fewer_atoms_than_a_window_of_keys_need_an_empty_token(
    component_cache: Path, residues: int, atoms: int, bucket: int
) -> None:
    """Atoms of RTPQIIKSRASHPAHF, OXT included. Five tokens have 120 slots, 128 in whole subsets."""
    features = featurise(synthetic_protein(residues, seed=1), 16)[0].numeric
    assert int(np.asarray(features["pred_dense_atom_mask"]).sum()) == atoms
    assert needed_bucket(features) == bucket


def test_only_empty_msa_rows_are_removed(featurised: Featurised) -> None:
    features = featurised("aligned")[0].numeric
    rows = used_msa_rows(features)
    cut = with_msa_rows(features, rows)
    assert np.asarray(cut["msa_mask"]).any(axis=1).all()
    assert not np.asarray(features["msa_mask"])[rows:].any()
    assert np.array_equal(cut["msa"], np.asarray(features["msa"])[:rows])


def test_one_of_the_empty_templates_is_enough(featurised: Featurised) -> None:
    features = featurised("ubiquitin")[0].numeric
    assert np.asarray(features["template_aatype"]).shape == (4, 76)
    assert needed_templates(features) == 1
    cut = with_templates(features, 1)
    assert [len(cut[name]) for name in TEMPLATE_FEATURES] == [1, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_features_with_another_number_of_templates_than_upstreams_keep_it(
    count: int, featurised: Featurised
) -> None:
    features = featurised("ubiquitin")[0].numeric
    empty = {name: np.zeros_like(features[name][:1]) for name in TEMPLATE_FEATURES}
    other = {name: np.repeat(array, count, axis=0) for name, array in empty.items()}
    assert needed_templates({**features, **other}) == count


@pytest.mark.parametrize("name", TEMPLATE_FEATURES)
def test_templates_that_differ_anywhere_are_all_needed(name: str, featurised: Featurised) -> None:
    features = dict(featurised("ubiquitin")[0].numeric)
    changed = np.array(features[name])
    changed[3].flat[-1] += 1
    assert needed_templates({**features, name: changed}) == 4


@pytest.mark.parametrize(
    ("used", "rows", "notice"),
    [
        (100, 1024, None),
        (100, 100, None),
        (3000, 1024, None),
        (100, 8, "sees 8 of the 100 rows of the MSA, with upstream's setting it sees 100"),
        (3000, 2048, "sees 2048 of the 3000 rows of the MSA, with upstream's setting it sees 1024"),
    ],
)
def test_another_number_of_msa_rows_than_upstreams_is_reported(
    used: int, rows: int, notice: str | None
) -> None:
    found = msa_row_notices(used, rows)
    assert found == () if notice is None else notice in found[0]
