"""GenCast as a Model: forecasts, options, knobs and parts, with a small network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray

from perfkit.answers.agreement import AgreementClass, compare
from perfkit.answers.finite import check_finite
from perfkit.diagnose.locate.workload import SearchResult, locate_in_this_process
from perfkit.errors import MissingDependencyError, UserError
from perfkit.knobs.configuration import Configuration
from perfkit.models.gencast import forecast_step
from perfkit.models.gencast.model import GenCast
from perfkit.models.gencast.network import denoiser
from perfkit.models.gencast.network.denoiser_network import run_network
from perfkit.models.prepared import Prepared
from perfkit.models.workload import Workload
from tests.support.quick_compilation import quick_jit

pytestmark = pytest.mark.long

type Options = Mapping[str, str]

MODEL = GenCast()


def run(workload: Workload, overrides: Mapping[str, str]) -> tuple[Prepared, Any]:
    prepared = MODEL.prepare(workload, overrides)
    compiled = quick_jit(prepared.function).lower(*prepared.arguments).compile()
    return prepared, prepared.drive(compiled)


def named(outputs: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(outputs)
    return {jax.tree_util.keystr(path).strip("."): np.asarray(leaf) for path, leaf in leaves}


def test_making_a_synthetic_workload_imports_neither_jax_nor_file_readers() -> None:
    code = (
        "import sys; from perfkit.models.gencast.model import GenCast; "
        "GenCast().workload({'resolution': 10.0}, {}); "
        "print(sorted({'jax', 'xarray', 'h5py', 'trimesh'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"


LABEL = "below production fidelity (levels 2 of 20, steps 2 of 30)"


def test_synthetic_inputs_and_weights_are_reported() -> None:
    atmosphere, weights = MODEL.workload({"resolution": 10.0}, {}).notices
    assert atmosphere.startswith("the atmosphere is synthetic")
    assert weights.startswith("the weights are synthetic")


def test_a_forecast_is_finite_except_over_land_and_is_written_as_cf_netcdf(
    small_model: Options, tmp_path: Path
) -> None:
    options: dict[str, str | float | bool] = {**small_model, "resolution": 15.0, "plot": True}
    workload = MODEL.workload(options, {"steps": 2, "members": 2})
    assert workload.size == 13 * 24
    assert len(workload.notices) == 1
    prepared, outputs = run(workload, {})
    assert check_finite(named(outputs), prepared.expected_nan).finite
    assert outputs["temperature"].shape == (2, 1, 2, 13, 13, 24)
    assert not np.array_equal(outputs["temperature"][0], outputs["temperature"][1])

    netcdf, page = prepared.write(outputs, tmp_path)
    with xarray.open_dataset(netcdf, decode_timedelta=False) as file:
        assert file.attrs["Conventions"].startswith("CF-")
        assert "synthetic" in file.attrs["comment"]
        assert LABEL in file.attrs["comment"]
        assert file["2m_temperature"].attrs["standard_name"] == "air_temperature"
        assert file["temperature"].attrs["units"] == "K"
        assert file["datetime"].values[0, 0] == np.datetime64("2019-03-30T00")
        np.testing.assert_array_equal(file["time"], [12, 24])
        np.testing.assert_array_equal(file["temperature"], outputs["temperature"])
    text = page.read_text()
    assert "2019-03-30 12:00" in text
    assert all(notice in text for notice in (*workload.notices, LABEL))


def test_exact_knobs_agree_in_float32_and_precision_in_bfloat16(small_model: Options) -> None:
    workload = MODEL.workload({**small_model, "resolution": 15.0}, {})
    reference, outputs = run(workload, MODEL.reference_values)
    expected = reference.compared(outputs)
    exact = {"attention": "banded", "grid_block": "100", "edge_basis": "full"}
    for overrides in (
        exact,
        {"attention": "patches"},
        {"parameters": "constants"},
        {"precision": "bfloat16_network"},
    ):
        prepared, outputs = run(workload, overrides)
        agreement = compare(prepared.compared(outputs), expected, MODEL.tolerances)
        assert agreement.reached <= MODEL.declared_class(overrides), overrides
        if "precision" in overrides:
            assert agreement.reached == AgreementClass.BFLOAT16


def test_parts_are_found_in_the_compiled_program_and_counted(small_model: Options) -> None:
    counts = MODEL.part_counts({"levels": 20, "steps": 30, "members": 1})
    # 39 calls and 14 churned levels per step; the initial noise is the 15th set.
    assert counts == {"denoiser_call": 39 * 30, "noise_set": 15 * 30, "step_setup": 30}
    prepared = MODEL.prepare(MODEL.workload({**small_model, "resolution": 15.0}, {}), {})
    text = str(jax.jit(prepared.function).lower(*prepared.arguments).compile().as_text())
    names = {
        line.split('op_name="')[1].split('"')[0] for line in text.splitlines() if "op_name" in line
    }
    assert {MODEL.part_of(name) for name in names} >= set(counts)
    # Only the network computes tanh, in the approximation of gelu.
    parts_with_tanh = {MODEL.part_of(name) for name in names if "tanh" in name}
    assert parts_with_tanh == {"denoiser_call"}


def test_a_forecast_from_files_has_no_notices(reference: Any, small_model: Options) -> None:
    data = reference.folder / "data"
    options = {**small_model, "input": str(data / "A.nc"), "stats": str(data)}
    workload = MODEL.workload(options, {})
    assert workload.notices == ()
    assert workload.name == "A"
    prepared, outputs = run(workload, {})
    assert outputs["temperature"].shape == (1, 1, 1, 13, 13, 24)
    assert prepared.labels[0].startswith(
        "below production fidelity (levels 2 of 20, steps 1 of 30)"
    )


def test_the_digest_depends_on_the_computation() -> None:
    base = MODEL.workload({"resolution": 10.0}, {})
    assert base.digest == MODEL.workload({"resolution": 10.0}, {}).digest
    assert base.digest != MODEL.workload({"resolution": 15.0}, {}).digest
    assert base.digest != MODEL.workload({"resolution": 10.0, "mesh": 2}, {}).digest
    assert base.digest != MODEL.workload({"resolution": 10.0}, {"levels": 3}).digest


def test_the_memory_of_the_published_sizes_is_plausible() -> None:
    one_degree, quarter_degree = (
        MODEL.memory_estimate_bytes(MODEL.workload({"resolution": resolution}, {}), Configuration())
        or 0
        for resolution in (1.0, 0.25)
    )
    assert 1.5e9 < one_degree < 5e9
    assert quarter_degree > 12e9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"input": "x.nc"}, "--input: there is no"),
        ({"resolution": 0.7}, "does not divide the sphere"),
        ({"resolution": 1.0, "mesh": 1}, "too coarse for a grid of 1 degrees"),
        ({"mesh": 9}, "--mesh takes 1 to 7 refinements"),
        ({"mesh": 0}, "--mesh takes 1 to 7 refinements, not 0"),
        ({"input": "x" * 5000}, "--input: 'x+' is not a valid path|there is no"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        MODEL.workload(options, {})


def test_options_that_contradict_each_other_are_refused(reference: Any) -> None:
    data = reference.folder / "data"
    checkpoint = str(reference.folder / "fixtures" / "tiny_checkpoint.npz")
    cases: tuple[tuple[dict[str, str | int | float | bool], str], ...] = (
        ({"input": str(data / "A.nc"), "resolution": 1.0}, "--input and --resolution exclude"),
        ({"checkpoint": checkpoint, "mesh": 3}, "--checkpoint and --mesh exclude"),
        ({"checkpoint": checkpoint}, "needs the statistics it was trained with"),
    )
    for options, sentence in cases:
        with pytest.raises(UserError, match=sentence):
            MODEL.workload(options, {})


@pytest.mark.skipif(find_spec("weathernext") is not None, reason="weathernext is installed")
def test_weathernext_is_refused_if_it_is_not_installed() -> None:
    with pytest.raises(MissingDependencyError, match="needs the package weathernext"):
        MODEL.workload({"resolution": 10.0, "engine": "weathernext"}, {})


def test_an_unknown_engine_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown engine 'weathernet'; the nearest is 'weather"):
        MODEL.workload({"resolution": 10.0, "engine": "weathernet"}, {})


@pytest.mark.parametrize(
    ("resolution", "name", "value", "tried"),
    [
        # 684 grid nodes are one block at the default of 2048.
        (10.0, "grid_block", "1024", False),
        (10.0, "grid_block", "512", True),
        # 2701 grid nodes.
        (5.0, "grid_block", "1024", True),
        (5.0, "grid_block", "whole", True),
        (1.0, "attention", "dense", True),
        # Meshes of five and six refinements have 10242 and 40962 nodes.
        (0.5, "attention", "dense", False),
        (0.25, "attention", "dense", False),
        (0.25, "attention", "banded", True),
    ],
)
def test_values_that_give_another_program_of_bearable_size_are_worth_trying(
    resolution: float, name: str, value: str, tried: bool
) -> None:
    workload = MODEL.workload({"resolution": resolution}, {})
    assert MODEL.worth_trying(workload, name, value) is tried


def test_equal_seeds_give_equal_forecasts_and_other_seeds_others(
    small_model: Options, tmp_path: Path
) -> None:
    options: dict[str, str | int | float] = {**small_model, "resolution": 15.0}
    seeds: tuple[dict[str, str | int], ...] = ({}, {"seed": "0"}, {"seed": "7"}, {"seed": 7})
    default, zero, seven, again = (MODEL.workload({**options, **seed}, {}) for seed in seeds)
    assert default.digest == zero.digest
    assert seven.digest == again.digest != default.digest
    assert seven.source["seed"] == 7
    _, outputs = run(default, {})
    np.testing.assert_array_equal(run(zero, {})[1]["temperature"], outputs["temperature"])
    prepared, other = run(seven, {})
    np.testing.assert_array_equal(run(again, {})[1]["temperature"], other["temperature"])
    assert not np.array_equal(other["temperature"], outputs["temperature"])
    with xarray.open_dataset(prepared.write(other, tmp_path)[0]) as file:
        assert file.attrs["noise_seed"] == 7


@pytest.mark.parametrize(
    "seed", ["-1", "x", "1.5", "", "4294967296", "9" * 5000, "٣"], ids=lambda seed: seed[:12]
)
def test_an_invalid_seed_is_refused_in_a_short_sentence(seed: str) -> None:
    expected = "--seed takes a whole number from 0 to 4294967295"
    with pytest.raises(UserError, match=expected) as refusal:
        MODEL.workload({"resolution": 10.0, "seed": seed}, {})
    assert len(str(refusal.value)) < 150


def test_a_forecast_with_declared_nan_has_no_finding(small_model: Options) -> None:
    workload = MODEL.workload({**small_model, "resolution": 10.0}, {"steps": 2})
    assert locate_in_this_process(workload, {}) == SearchResult(None, 2)


def test_an_error_in_the_denoiser_is_located_despite_declared_nan(
    small_model: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(*given: Any) -> Any:
        return run_network(*given) + jax.numpy.sqrt(given[-1][:, None] - 1)  # PLANTED

    monkeypatch.setattr(denoiser, "run_network", planted)
    workload = MODEL.workload({**small_model, "resolution": 10.0}, {})
    finding = locate_in_this_process(workload, {}).finding
    assert finding is not None
    assert (finding.kind, finding.certainty, finding.primitive) == ("nan", "found", "sqrt")
    lines = Path(__file__).read_text().splitlines()
    assert lines[finding.origin.line - 1].endswith("# PLANTED")
    assert "denoiser_call" in finding.origin.module_path
    # The calls are at noise levels 80, 1.5 (their geometric mean) and 0.03.
    assert [number for _, number in finding.iterations] == [2]


class _ForgetsToFill:
    """``jax.numpy`` that does not fill in the sea-surface temperature over land."""

    def __getattr__(self, name: str) -> Any:
        return getattr(jax.numpy, name)

    def where(self, condition: Any, one: Any, other: Any) -> Any:
        return jax.numpy.where(condition, one, other) if one is jax.numpy.nan else other


def test_declared_nan_that_reaches_the_network_is_located(
    small_model: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_step, "jnp", _ForgetsToFill())
    workload = MODEL.workload({**small_model, "resolution": 10.0}, {})
    finding = locate_in_this_process(workload, {}).finding
    assert finding is not None
    assert (finding.certainty, finding.primitive) == ("found", "dot_general")
