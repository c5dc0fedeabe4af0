"""The verdict says in one line whether the models can run here, and what to set if not."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from perfkit.diagnose.checkup import Checkup
from perfkit.diagnose.diagnosis import Answer, Diagnosis
from perfkit.diagnose.mending import Candidate, Mending, OtherJaxlib, Remedies
from perfkit.diagnose.models_found import ModelFound
from perfkit.diagnose.noise_look import NoiseLook, look_at_noise, ratio_sigma
from perfkit.records.disturbances import Load

RIGHT = Diagnosis("0.12", "", (Answer("sums", True), Answer("arctan", True)))
WRONG = Diagnosis("0.10", "--xla_x=1", (Answer("sums", False), Answer("arctan", False)))
MENDED = Diagnosis("0.10", "--xla_x=1 --xla_y=", (Answer("sums", False), Answer("arctan", True)))
QUIET = NoiseLook(40, 0.01, Load(load_average_before=0, steal_fraction=0, other_cpu_fraction=0))
Y = Candidate("--xla_y=", "nothing is fused")


def test_a_healthy_machine_is_fit_for_the_models_that_start() -> None:
    models = (ModelFound("af3"), ModelFound("gencast"))
    assert Checkup(RIGHT, models=models, noise=QUIET).verdict == (
        "verdict: fit to run af3 and gencast; all 2 answers of jaxlib 0.12 are right on this CPU"
    )
    models = (ModelFound("af3", "no module haiku"), ModelFound("gencast"))
    busy = Load(load_average_before=1, steal_fraction=0, other_cpu_fraction=0.5)
    assert Checkup(RIGHT, models=models, noise=dataclasses.replace(QUIET, load=busy)).verdict == (
        "verdict: fit to run gencast; af3 does not start (no module haiku); all 2 answers of "
        "jaxlib 0.12 are right on this CPU; times are noisy here"
    )


def test_flags_that_mend_some_answers_are_to_be_set_with_those_that_are_set() -> None:
    remedies = Remedies((Mending(Y, ("arctan",)),), Y.flags, MENDED)
    models = (ModelFound("af3", "no module haiku"), ModelFound("gencast"))
    assert Checkup(WRONG, models=models, remedies=remedies).verdict == (
        "verdict: jaxlib 0.10 gives 2 of 2 answers wrong on this CPU; "
        "set XLA_FLAGS='--xla_x=1 --xla_y=': it mends 1; no recommended flag mends sums; "
        "use another jaxlib; af3 does not start (no module haiku)"
    )


def test_another_environment_with_right_answers_is_named() -> None:
    others = (
        OtherJaxlib(Path("/old/python"), WRONG),
        OtherJaxlib(Path("/new/python"), RIGHT),
        OtherJaxlib(Path("/no/python"), None, "no such file"),
    )
    assert Checkup(WRONG, remedies=Remedies(()), others=others).verdict == (
        "verdict: jaxlib 0.10 gives 2 of 2 answers wrong on this CPU; no recommended flag mends "
        "sums, arctan; jaxlib 0.12 of /new/python gives all of them right"
    )


def test_without_a_search_the_verdict_promises_nothing() -> None:
    assert Checkup(WRONG).verdict == ("verdict: jaxlib 0.10 gives 2 of 2 answers wrong on this CPU")


def test_the_noise_is_that_of_the_ratios_of_successive_passes() -> None:
    # Logarithms 1, -1, 1 with mean 1/3: the sum of squared deviations is 24/9, over 2 degrees.
    assert ratio_sigma([1.0, math.e, 1.0, math.e]) == pytest.approx(math.sqrt(24 / 9 / 2))
    # exp(1.81 * 1.2533 * 0.1 / sqrt(6)) - 1, by hand.
    assert dataclasses.replace(QUIET, pass_sigma=0.1).visible_gain == pytest.approx(
        0.0970, abs=1e-4
    )
    assert dataclasses.replace(QUIET, pass_sigma=0.1).noisy
    assert not QUIET.noisy


def test_a_look_at_the_noise_repeats_a_real_program() -> None:
    found = look_at_noise(duration_s=0.0)
    assert found.passes == 3
    assert math.isfinite(found.pass_sigma)
    assert found.pass_sigma > 0
    assert found.load.other_cpu_fraction >= 0
