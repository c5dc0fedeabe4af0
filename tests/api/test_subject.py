"""What a call measures when it names little, and which arguments it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.api.subject import OptionValue, default_folder, knob_text, make_subject, seconds_of
from perfkit.errors import UserError

LOW = {"recycles": 0, "steps": 4, "samples": 1, "seeds": 1}
PRODUCTION = {"recycles": 10, "steps": 200, "samples": 5, "seeds": 1}


@pytest.mark.parametrize(
    ("real", "predicts", "steps", "fidelity", "expected"),
    [
        (True, True, None, None, PRODUCTION),
        (True, True, 20, None, {**PRODUCTION, "steps": 20}),
        (True, True, None, "low", LOW),
        (True, False, None, None, LOW),
        (False, True, None, None, LOW),
        (False, True, None, "production", PRODUCTION),
    ],
)
def test_a_prediction_with_real_weights_runs_at_production_fidelity(
    tmp_path: Path,
    real: bool,
    predicts: bool,
    steps: int | None,
    fidelity: str | None,
    expected: dict[str, int],
) -> None:
    pytest.importorskip("alphafold3", reason="the workload needs the af3 extra")
    (tmp_path / "af3.bin").touch()
    options: dict[str, OptionValue] = {
        "size": 8,
        "steps": steps,
        "model_dir": tmp_path if real else None,
    }
    subject = make_subject("af3", options, fidelity=fidelity, predicts=predicts)
    assert subject.workload.fidelity == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sise": 8}, "unknown option of af3 'sise'; the nearest is 'size'"),
        ({"resolution": 1.0}, "unknown option of af3 'resolution'"),
        ({"size": "8"}, "--size takes a whole number, not '8'"),
        ({"size": True}, "--size takes a whole number, not True"),
        ({"size": 8, "steps": 2.5}, "--steps takes a whole number, not 2.5"),
        ({"size": 8, "steps": 0}, "--steps takes 1 or more, not 0"),
        ({"input": 3}, "--input takes text or a path, not 3"),
    ],
)
def test_an_option_of_another_name_or_type_is_refused(
    options: dict[str, OptionValue], message: str
) -> None:
    pytest.importorskip("alphafold3", reason="the workload needs the af3 extra")
    with pytest.raises(UserError, match=r"unknown|takes") as refused:
        make_subject("af3", options)
    assert str(refused.value).startswith(message)


def test_an_unknown_fidelity_is_refused() -> None:
    with pytest.raises(UserError, match="unknown fidelity 'lwo'; the nearest is 'low'"):
        make_subject("af3", {"size": 8}, fidelity="lwo")


def test_whole_numbers_are_taken_for_numbers_and_false_for_not_set() -> None:
    pytest.importorskip("h5netcdf", reason="the workload needs the gencast extra")
    subject = make_subject("gencast", {"resolution": 10, "mesh": 1, "plot": False})
    # 360 / 10 meridians times 180 / 10 + 1 parallels.
    assert subject.workload.size == 36 * 19
    assert "plot" not in subject.workload.source


def test_limits_are_numbers_or_text() -> None:
    pytest.importorskip("h5netcdf", reason="the workload needs the gencast extra")
    tiny: dict[str, OptionValue] = {"resolution": 10, "mesh": 1}
    numbers = make_subject("gencast", tiny, time_limit=90, memory_limit=16_000_000_000)
    text = make_subject("gencast", tiny, time_limit="1m30s", memory_limit="16GB")
    assert numbers.limits == text.limits
    assert text.limits.time_s == 90.0


def test_a_preset_of_another_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf", reason="the workload needs the gencast extra")
    preset = tmp_path / "preset.toml"
    preset.write_text("model = 'af3'\n[knobs]\ncpus = 1\n")
    subject = make_subject("gencast", {"resolution": 10, "mesh": 1})
    with pytest.raises(UserError, match="is for model 'af3', not 'gencast'"):
        subject.configuration({}, preset)


def test_knobs_override_the_preset(tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf", reason="the workload needs the gencast extra")
    preset = tmp_path / "preset.toml"
    preset.write_text("model = 'gencast'\n[knobs]\ncpus = 1\nxla_cpu_use_onednn = true\n")
    subject = make_subject("gencast", {"resolution": 10, "mesh": 1})
    chosen = subject.configuration({"cpus": "all"}, preset)
    assert chosen.as_dict() == {"xla_cpu_use_onednn": "true"}


BROKEN = {"name": "half \ud800", "file": "caf\udce9.json"}
"""Half of a surrogate pair in JSON, and a file name in Latin-1 as Python reads it."""


@pytest.mark.parametrize("where", BROKEN)
def test_names_that_no_record_can_hold_are_refused(tmp_path: Path, where: str) -> None:
    pytest.importorskip("alphafold3", reason="the workload needs the af3 extra")
    given = {"name": "whole", "file": "whole.json", where: BROKEN[where]}
    document = {
        "name": given["name"],
        "modelSeeds": [1],
        "sequences": [{"protein": {"id": "A", "sequence": "GS"}}],
        "dialect": "alphafold3",
        "version": 1,
    }
    path = tmp_path / given["file"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"half \\ud800|caf\\udce9") as refused:
        make_subject("af3", {"input": path})
    str(refused.value).encode()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("run", "ubiquitin"), "run-ubiquitin"),
        (("tune", "af3", "A/B complex"), "tune-af3-AB_complex"),
        # printf 'run-../../escape' | sha256sum
        (("run", "../../escape"), "run-.escape-ca4fb453ba"),
    ],
)
def test_results_go_below_the_current_folder_whatever_the_input_is_called(
    words: tuple[str, ...], name: str
) -> None:
    assert default_folder(*words) == Path("perfkit-results") / name


def test_durations_are_seconds_or_text() -> None:
    assert seconds_of("15m") == seconds_of(900) == seconds_of(900.0) == 900.0
    with pytest.raises(UserError, match="duration"):
        seconds_of(0)


def test_truth_values_are_written_as_knobs_take_them() -> None:
    assert [knob_text(value) for value in (True, False, 2, "all")] == ["true", "false", "2", "all"]
