"""Reading and writing checkpoints in the official format."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.errors import UserError
from perfkit.models.gencast.inputs.checkpoint import (
    check_parameters,
    load_checkpoint,
    parameter_shapes,
    save_checkpoint,
)
from perfkit.models.gencast.inputs.synthetic_weights import architecture_for, synthetic_checkpoint


@pytest.fixture
def official(reference: Any) -> Path:
    path: Path = reference.folder / "fixtures" / "tiny_checkpoint.npz"
    return path


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copy an archive with some entries replaced, or removed if the change is None."""
    with np.load(source) as archive:
        entries = {key: archive[key] for key in archive.files} | changes
    with target.open("wb") as file:
        writer: Callable[..., None] = np.savez
        writer(file, **{key: value for key, value in entries.items() if value is not None})
    return target


def test_a_file_of_the_published_writer_is_read(official: Path, reference: Any) -> None:
    checkpoint = load_checkpoint(official)
    architecture = checkpoint.denoiser_architecture_config
    assert architecture.latent_size == 8
    assert architecture.mesh_size == 2
    assert architecture.grid2mesh_aggregate_normalization is None
    assert architecture.sparse_transformer_config.attention_type == "splash_mha"
    assert checkpoint.sampler_config.churn_max_noise_level == math.inf
    assert checkpoint.noise_encoder_config.apply_log_first is True
    assert checkpoint.noise_encoder_config.output_sizes == (32, 16)
    assert checkpoint.task_config.pressure_levels[9:11] == (700, 850)
    assert checkpoint.description == "fixture, not a trained model"
    # The published writer wrote these numbers.
    name = "params:mesh_transformer/~/transformer/block_00/ffw_up:w"
    weights = checkpoint.params["mesh_transformer/~/transformer/block_00/ffw_up"]["w"]
    with np.load(official) as archive:
        np.testing.assert_array_equal(weights, archive[name])


def test_a_written_checkpoint_has_the_entries_of_the_published_file(
    official: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.npz"
    save_checkpoint(load_checkpoint(official), again)
    with np.load(official) as theirs, np.load(again) as ours:
        assert set(ours.files) == set(theirs.files)
        assert len(ours.files) == 85 + 96
        for key in theirs.files:
            assert ours[key].dtype == theirs[key].dtype, key
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


def test_a_checkpoint_is_unchanged_after_writing_and_reading(
    reference: Any, tmp_path: Path
) -> None:
    checkpoint = reference.checkpoint("denoiser_A")
    save_checkpoint(checkpoint, tmp_path / "case.npz")
    loaded = load_checkpoint(tmp_path / "case.npz")
    assert dataclasses.replace(loaded, params={}) == dataclasses.replace(checkpoint, params={})
    for module, leaves in checkpoint.params.items():
        for leaf, array in leaves.items():
            np.testing.assert_array_equal(loaded.params[module][leaf], array)


def test_parameter_shapes_are_those_of_the_published_mini(reference: Any) -> None:
    listed = json.loads((reference.folder / "params_1p0deg_mini.json").read_text())
    ours = {
        f"params:{module}:{leaf}": list(shape)
        for module, leaves in parameter_shapes(architecture_for(4)).items()
        for leaf, shape in leaves.items()
    }
    assert ours == listed
    assert len(ours) == 278
    assert sum(math.prod(shape) for shape in ours.values()) == 57_492_612


def test_tuples_are_read_in_the_order_of_their_numbers(official: Path, tmp_path: Path) -> None:
    variables = load_checkpoint(official).task_config.input_variables
    assert variables[9:11] == ("vertical_velocity", "specific_humidity")


def test_an_optional_field_is_read_if_it_is_stored(official: Path, tmp_path: Path) -> None:
    key = "denoiser_architecture_config:grid2mesh_aggregate_normalization"
    path = rewrite(official, tmp_path / "more.npz", **{key: np.asarray(3.5)})
    architecture = load_checkpoint(path).denoiser_architecture_config
    assert architecture.grid2mesh_aggregate_normalization == 3.5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"denoiser_architecture_config:latent_size": np.asarray(16)},
            r"has shape \(.*\), but the configuration needs",
        ),
        (
            {"params:mesh_transformer/~/transformer/block_01/ffw_up:w": None},
            "lacks the parameter mesh_transformer/~/transformer/block_01/ffw_up:w",
        ),
        ({"sampler_config:colour": np.asarray("blue")}, "unknown field sampler_config:colour"),
        ({"denoiser_architecture_config:mesh_size": None}, "not a complete GenCast checkpoint"),
        ({"task_config:target_variables:0": np.asarray("cheese")}, "unknown variable 'cheese'"),
    ],
)
def test_an_inconsistent_checkpoint_is_refused(
    official: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load_checkpoint(rewrite(official, tmp_path / "bad.npz", **changes))


def test_a_graphcast_checkpoint_is_recognised_and_refused(tmp_path: Path) -> None:
    with (tmp_path / "graphcast.npz").open("wb") as file:
        writer: Callable[..., None] = np.savez
        writer(file, **{"model_config:resolution": np.asarray(1.0), "params:a:w": np.ones(3)})
    with pytest.raises(UserError, match="is a GraphCast checkpoint"):
        load_checkpoint(tmp_path / "graphcast.npz")


def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "text.npz")
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "absent.npz")


def test_synthetic_weights_fit_their_architecture_and_are_reproducible() -> None:
    architecture = architecture_for(2, latent=16, layers=2, feed_forward=32)
    one, two = (synthetic_checkpoint(architecture) for _ in range(2))
    check_parameters(one, "synthetic")
    assert "not trained" in one.description
    name = "mesh_transformer/~/transformer/block_00/ffw_up"
    np.testing.assert_array_equal(one.params[name]["w"], two.params[name]["w"])
    assert one.params[name]["w"].std() == pytest.approx(16**-0.5, rel=0.1)
