"""Fits: planted laws are recovered, intervals have their coverage, damaged files are refused."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.laws.assemble import accuracies, assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.capacity.laws.fitting import fit_records
from perfkit.capacity.queue.estimate import estimate
from perfkit.capacity.queue.jobs import production
from perfkit.errors import UserError
from perfkit.models import get_model
from perfkit.models.costs import Job
from tests.support.planted import (
    SETTINGS,
    compiled_bytes,
    confidence_s,
    overhead_bytes,
    record,
    step_s,
    study,
    trunk_s,
)

PRODUCTION = {"trunk_pass": 11, "diffusion_step": 200, "confidence": 1}


def _features(tokens: int, samples: int) -> dict[str, float]:
    costs = get_model("af3").costs
    return costs.features_at(tokens, {}, {"samples": samples}, SETTINGS)


def test_planted_laws_are_found_and_added_up() -> None:
    fit = fit_records(study())
    features = _features(80, 5)
    seconds = fit.seconds(features, PRODUCTION)
    assert seconds["trunk_pass"] == pytest.approx(11 * trunk_s(80), rel=1e-6)
    assert seconds["diffusion_step"] == pytest.approx(200 * step_s(80, 5), rel=1e-6)
    assert seconds["confidence"] == pytest.approx(confidence_s(80, 5), rel=1e-6)
    assert seconds["prepare"] == pytest.approx(1.3)
    assert seconds["compile"] == pytest.approx(20.0)
    assert seconds["warm_up"] == pytest.approx(0.4)


def test_a_step_is_split_into_a_fixed_cost_and_a_cost_per_sample() -> None:
    fit = fit_records(study())
    three = fit.seconds(_features(40, 3), PRODUCTION)
    assert three["diffusion_step"] == pytest.approx(200 * step_s(40, 3), rel=1e-6)


def test_a_number_of_samples_that_was_not_measured_is_refused() -> None:
    fit = fit_records([record(size) for size in (16, 24, 32, 48, 64, 96)])
    refusal = fit.refusal(_features(40, 3))
    assert refusal == "the samples measured were all 5, not 3"
    assert fit.refusal(_features(40, 5)) is None


def test_the_size_of_a_fit_is_the_padded_size() -> None:
    records = study((100, 200, 300, 400, 600, 900), settings={})
    fit = fit_records(records)
    assert (fit.least_size, fit.largest_size) == (128.0, 1024.0)


def test_memory_is_the_compilers_count_plus_the_measured_overhead() -> None:
    fit = fit_records(study())
    one = fit.memory_range(_features(80, 5), 1)
    assert one.value == pytest.approx(compiled_bytes(80) + overhead_bytes(80), rel=1e-6)
    five = fit.memory_range(_features(80, 5), 5)
    # The results of four more seeds are kept: 10 MB each.
    assert five.value - one.value == pytest.approx(40e6, rel=1e-3)


def test_the_compilers_count_is_used_at_a_compiled_size() -> None:
    larger = record(512, role="compiled").model_copy(update={"stages": [], "part_times_s": None})
    assert larger.compilation is not None
    odd = larger.compilation.model_copy(update={"temporary_bytes": 5_000_000_000})
    fit = fit_records([*study(), larger.model_copy(update={"compilation": odd})])
    memory = fit.memory_range(_features(512, 5), 1)
    assert memory.value == pytest.approx(5_060_000_000 + overhead_bytes(512), rel=1e-6)
    assert fit.largest_size == 96.0


def test_nine_in_ten_measurements_lie_in_the_interval() -> None:
    """500 draws of a noisy study and an unseen trial, with 3 % noise per part."""
    generator = random.Random(1)
    held, draws = 0, 500
    features = _features(56, 5)
    for _ in range(draws):
        fit = fit_records(study(noise=lambda: generator.lognormvariate(0, 0.03)))
        seconds = fit.seconds(features, {"diffusion_step": 2})
        parts = {name: seconds[name] for name in ("trunk_pass", "diffusion_step", "confidence")}
        unseen = record(56, noise=lambda: generator.lognormvariate(0, 0.03)).part_times_s
        assert unseen is not None
        time = fit.time_range(features, parts)
        held += time.low <= sum(unseen[name] for name in parts) <= time.high
    assert 0.85 <= held / draws <= 0.95


def test_a_saved_fit_predicts_the_same(tmp_path: Path) -> None:
    fit = assemble(study())
    path = tmp_path / "fits" / "fit.json"
    fit.save(path)
    assert ModelFit.load(path) == fit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON"),
        ("{}", "is not a fit of 'perfkit plan fit'"),
        ('{"version": 99}', "is of version 99, this perfkit reads up to 4"),
    ],
)
def test_another_file_is_refused_as_a_fit(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        ModelFit.load(path)


def _saved(folder: Path, *changes: tuple[tuple[str | int, ...], object]) -> Path:
    """Save a good fit with some values replaced."""
    data = json.loads(assemble(study()).model_dump_json())
    for (*steps, last), value in changes:
        place: Any = data
        for step in steps:
            place = place[step]
        place[last] = value
    path = folder / "fit.json"
    path.write_text(json.dumps(data))
    return path


TRUNK = ("laws", "trunk_pass")


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("model",), "../af4", "the model is '../af4', expected one of af3, gencast"),
        (("settings", "bucket"), "many", "knob 'bucket' cannot be 'many'"),
        (("cpus",), True, "cpus is True: input should be a valid integer"),
        (("cpus",), 10**15, "cpus is 1000000000000000: input should be less than"),
        (("points",), -1, "points is -1"),
        (("least_size",), 1e6, "least_size is above largest_size"),
        (("laws",), {}, "laws dictionary should have at least 1 item"),
        ((*TRUNK, "coefficients", 0), -1.0, r"laws.trunk_pass.coefficients.0 is -1.0: input"),
        ((*TRUNK, "coefficients", 0), math.nan, "coefficients.0 is nan: input should be a finite"),
        ((*TRUNK, "coefficients", 0), 1e30, r"coefficients.0 is 1e\+30: input should be less"),
        ((*TRUNK, "coefficients"), [1.0], "laws.trunk_pass: 4 terms have 1 coefficients"),
        ((*TRUNK, "terms", 0), "n^-1", r"'n\^-1' is not a product of powers of features"),
        (
            (*TRUNK, "terms", 0),
            "g",
            "laws.trunk_pass depends on 'g', which is not a feature of af3",
        ),
        ((*TRUNK, "spread"), [[1.0]], "laws.trunk_pass: spread is not 4 by 4"),
        ((*TRUNK, "spread", 0, 1), 1e9, "laws.trunk_pass: spread is not symmetric"),
        ((*TRUNK, "spread", 0, 0), -1e9, "spread holds a negative variance"),
        (
            (*TRUNK, "fixed"),
            {"x": 1.0},
            "laws.trunk_pass depends on 'x', which is not a feature of af3",
        ),
        (("covariance",), [], "covariance is not 10 by 10"),
        (("contention",), 1e9, "contention is 1000000000.0"),
        (("held_out", 0, "measured"), 0.0, "held_out.0.measured is 0.0"),
        (("held_out", 0, "predicted", "low"), 1e9, "expected low, value and high in ascending"),
        (("extra",), 1, "extra is 1: extra inputs are not permitted"),
    ],
)
def test_a_damaged_fit_names_the_key(
    tmp_path: Path, place: tuple[str | int, ...], value: object, expected: str
) -> None:
    with pytest.raises(UserError, match=expected) as refused:
        ModelFit.load(_saved(tmp_path, (place, value)))
    assert str(tmp_path / "fit.json") in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[" * 100_000, "is not JSON"), ('{"version": ' + "9" * 5000 + "}", "is not JSON")],
)
def test_huge_json_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(UserError, match=expected) as refused:
        ModelFit.load(path)
    assert len(str(refused.value)) < 300


def _job(tokens: int) -> Job:
    return Job("a", "af3", tokens, production("af3"), {"size": str(tokens)}, "test")


def test_a_fit_without_the_law_of_a_part_is_refused() -> None:
    """Without the law of a part its time would be missing from every job."""
    fit = assemble(study())
    laws = {name: law for name, law in fit.laws.items() if name != "diffusion_step"}
    count = len(laws)
    fit = fit.model_copy(update={"laws": laws, "covariance": ((0.0,) * count,) * count})
    with pytest.raises(UserError, match="has no law of diffusion_step: measure it again"):
        estimate(_job(40), fit)


def test_an_interval_without_limit_is_refused() -> None:
    """A relative standard deviation of 100 gives an interval of many orders of magnitude."""
    fit = assemble(study())
    count = len(fit.laws)
    wide = fit.model_copy(update={"covariance": ((1e4,) * count,) * count})
    with pytest.raises(UserError, match="says nothing about the time of such a job"):
        estimate(_job(40), wide)


def test_laws_without_any_time_are_refused() -> None:
    fit = assemble(study())
    nothing = {
        name: law.model_copy(update={"coefficients": (0.0,) * len(law.terms)})
        for name, law in fit.laws.items()
    }
    with pytest.raises(UserError, match="give no time: measure it again"):
        estimate(_job(40), fit.model_copy(update={"laws": nothing}))


def test_a_missing_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        ModelFit.load(tmp_path / "none.json")


def test_a_single_size_is_refused() -> None:
    with pytest.raises(UserError, match="needs several sizes with traced parts, only 16 was"):
        fit_records([record(16), record(16)])


def test_too_few_sizes_are_refused_with_the_name_of_the_law() -> None:
    with pytest.raises(UserError, match="the law of trunk_pass has 4 terms"):
        fit_records(study((16, 24, 32)))


def test_several_configurations_are_refused() -> None:
    with pytest.raises(UserError, match="of several configurations"):
        fit_records([*study(), record(16, settings={"bucket": "64"})])


def test_trials_of_cpus_instances_and_the_cache_determine_their_laws() -> None:
    cached = record(16, role="cached")
    assert cached.compilation is not None
    hit = cached.model_copy(
        update={"compilation": cached.compilation.model_copy(update={"cache": "hit"})}
    )
    alone = record(48, role="cpus", cpus=1, slower=1.6)
    together = [record(48, role="together", cpus=1, slower=1.6 * 1.25) for _ in range(2)]
    fit = assemble([*study(), alone, *together, cached, hit])
    assert fit.running_cpus is not None
    # 1.6 times as long on one CPU as on two: serial share 2/1.6 - 1 = 0.25.
    assert fit.running_cpus.serial == pytest.approx(0.25)
    assert fit.starting_cpus is not None
    # The start takes as long on one CPU: all serial.
    assert fit.starting_cpus.serial == pytest.approx(1.0)
    # The other instance takes half of the machine and costs 25 %.
    assert fit.contention == pytest.approx(0.5)
    assert fit.cached_compile_s == pytest.approx(20.0)
    assert fit.points == 9


def test_held_out_runs_are_predicted_and_not_fitted() -> None:
    """The prediction for a trial 10 % slower than the laws has an error of 1/1.1 - 1 = -9.1 %."""
    fit = assemble([*study(), record(128, role="held_out", slower=1.1)])
    (one,) = [h for h in fit.held_out if h.size == 128.0 and h.quantity == "time"]
    assert one.place == "beyond"
    assert one.error == pytest.approx(1 / 1.1 - 1, rel=1e-4)
    assert fit.largest_size == 96.0


def test_every_size_except_the_smallest_and_largest_is_left_out_once() -> None:
    fit = assemble(study())
    (within,) = [a for a in accuracies(fit.held_out) if (a.quantity, a.place) == ("time", "within")]
    # Sizes 24, 32, 48 (twice: with one sample too) and 64.
    assert within.cases == 5
    assert within.mean_error < 1e-6


def test_trials_with_warnings_are_reported() -> None:
    busy = record(48).model_copy(update={"warnings": ["other programs used 60% of the CPUs"]})
    (notice,) = fit_records([*study(), busy]).notices
    assert notice.startswith("1 of the fit's 10 trials carry a warning (the first: other programs")
