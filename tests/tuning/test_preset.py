"""Presets are saved, loaded and applied; other files are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK, Catalogue
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.tuning.apply import preset_environment
from perfkit.tuning.choice.recommend import Recommendation, recommend
from perfkit.tuning.goals.goal import make_goal
from perfkit.tuning.preset import (
    PresetInstances,
    load_preset,
    measured_context,
    save_front,
    save_preset,
)
from tests.support.confirmations import TWOFOLD, confirmed
from tests.support.records_factory import make_record
from tests.support.replay import Fields, record

REPOSITORY = Path(__file__).parents[2]
SETTINGS = {"bucket": "exact", "cpus": "1"}


@pytest.fixture
def recommendation() -> Recommendation:
    records = []
    for block in "abcdef":
        own: Fields = {"role": "confirm", "block": block}
        records.append(record({}, times={0: 10.0, 1: 12.0}, **own))
        small: Fields = own | {"peak_rss_bytes": 123}
        records.append(record(SETTINGS, times={0: 5.0, 1: 6.0}, **small))
    return recommend(records)


def test_a_saved_preset_is_loaded(tmp_path: Path, recommendation: Recommendation) -> None:
    path = tmp_path / "new" / "preset.toml"
    save_preset(path, "af3", recommendation, {"machine": {"cpu": "any"}})
    preset = load_preset(path)
    assert preset.model == "af3"
    assert preset.configuration.as_dict() == SETTINGS
    assert preset.environment() == {"PJRT_NPROC": "1"}
    measured = tomllib.loads(path.read_text())["measured"]
    assert measured["goal"] == "objective: latency"
    assert measured["speedup"] == 2.0
    assert measured["speedup_interval"] == [2.0, 2.0]
    assert measured["steady_s"] == 5.5
    assert measured["peak_rss_bytes"] == 123
    assert measured["machine"] == {"cpu": "any"}
    assert [file.name for file in path.parent.iterdir()] == ["preset.toml"]


def test_a_preset_with_the_former_name_of_a_knob_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    path.write_text("format = 1\nmodel = 'af3'\n[knobs]\nbfloat16 = 'none'\nbucket = 'exact'\n")
    assert load_preset(path).configuration.as_dict() == {"bucket": "exact", "precision": "float32"}
    path.write_text("format = 1\nmodel = 'af3'\n[knobs]\nbfloat16 = 'all'\n")
    assert load_preset(path).configuration == STOCK


def _throughput() -> Recommendation:
    """Two instances are 4/3 times as good as one."""
    side_by_side = [
        record(SETTINGS, times={0: each_s}, role="together", block=f"{count}-{turn}").model_copy(
            update={"instances": count, "allowed_cpus": 4 // count, "peak_rss_bytes": 100}
        )
        for count, each_s in ((1, 4.0), (2, 6.0))
        for turn in range(6)
        for _ in range(count)
    ]
    return recommend([*confirmed(SETTINGS, TWOFOLD), *side_by_side], make_goal("throughput"))


def test_a_preset_keeps_the_instances(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    save_preset(path, "af3", _throughput(), {})
    assert load_preset(path).instances == PresetInstances(count=2, cpus=2, peak_rss_bytes=100)
    assert tomllib.loads(path.read_text())["measured"]["predictions_per_hour"] == 1200.0


def test_a_preset_without_instances_has_none(
    tmp_path: Path, recommendation: Recommendation
) -> None:
    path = tmp_path / "preset.toml"
    save_preset(path, "af3", recommendation, {})
    assert "instances" not in tomllib.loads(path.read_text())
    assert load_preset(path).instances is None


def test_the_front_is_kept_as_numbered_presets(tmp_path: Path) -> None:
    records = [
        *confirmed({"cpus": "1"}, TWOFOLD, stock_bytes=2000, peak_rss_bytes=3000),
        *confirmed({"cpus": "2"}, [*TWOFOLD] * 2, stock_bytes=2000, peak_rss_bytes=2500),
    ]
    (tmp_path / "preset-3.toml").touch()
    found = recommend(records, make_goal(pareto=True))
    assert save_front(tmp_path, "af3", found, {"size": 76}) == (
        tmp_path / "preset-1.toml",
        tmp_path / "preset-2.toml",
    )
    fast, stock = (load_preset(tmp_path / f"preset-{number}.toml") for number in (1, 2))
    assert fast.configuration.as_dict() == {"cpus": "2"}
    assert stock.configuration == STOCK
    assert (fast.measured["speedup"], stock.measured["peak_rss_bytes"]) == (2.0, 2000)
    # A longer front of an earlier call does not stay behind.
    assert not (tmp_path / "preset-3.toml").exists()


def test_presets_of_an_earlier_front_stay_where_none_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "preset-1.toml").touch()
    assert save_front(tmp_path, "af3", recommend(confirmed(SETTINGS, TWOFOLD)), {}) == ()
    assert (tmp_path / "preset-1.toml").exists()


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*/**/preset*.toml")), ids=str)
def test_every_shipped_preset_is_loaded(path: Path) -> None:
    knobs = tomllib.loads(path.read_text())["knobs"]
    assert load_preset(path).configuration.as_dict() == knobs


def test_without_a_recommendation_there_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no preset to save: Stock was not measured"):
        save_preset(tmp_path / "preset.toml", "af3", recommend([]), {})


def test_a_preset_that_cannot_be_written_is_reported(
    tmp_path: Path, recommendation: Recommendation
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save_preset(tmp_path / "file" / "preset.toml", "af3", recommendation, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"[knobs", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"", "is no preset: it needs 'model'"),
        (b"model = 'af3'", r"is no preset: it needs 'model' and a table \[knobs\]"),
        (b"model = 'af3'\nknobs = 3", "is no preset"),
        (b"format = 2\nmodel = 'af3'\n[knobs]", "preset format 2, this perfkit reads 1"),
        (b"format = 'x'\nmodel = 'af3'\n[knobs]", "preset format x"),
        (b"model = 'af33'\n[knobs]", "unknown model 'af33'; the nearest is 'af3'"),
        (b"model = 'af3'\n[knobs]\nbuckets = 'exact'", "unknown knob 'buckets'; the nearest is"),
        (b"model = 'af3'\n[knobs]\nbucket = 'exat'", "knob 'bucket' cannot be 'exat'"),
        (b"model = 'af3'\ninstances = 2\n[knobs]", r"\[instances\] of the preset .* needs whole"),
        (b"model = 'af3'\n[knobs]\n[instances]\ncount = 0\ncpus = 1", "from 1 to 65,536"),
        (b"model = 'af3'\n[knobs]\n[instances]\ncount = 2", "numbers 'count' and 'cpus'"),
        (b"model = 'af3'\n[knobs]\n[instances]\ncount = '2'\ncpus = 1", "needs whole numbers"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "preset.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_preset(path)


def test_applying_a_preset_keeps_variables_that_are_set_already() -> None:
    configuration = Catalogue().configuration({"xla_cpu_use_onednn": "true", "cpus": "1"})
    inherited = {"XLA_FLAGS": "--xla_a=1", "LD_PRELOAD": "/lib/liblog.so", "HOME": "/home"}
    assert preset_environment(configuration, inherited) == {
        "XLA_FLAGS": "--xla_a=1 --xla_cpu_use_onednn=true",
        "LD_PRELOAD": "/lib/liblog.so",
        "HOME": "/home",
        "PJRT_NPROC": "1",
    }


def test_applying_stock_changes_nothing() -> None:
    assert preset_environment(STOCK, {"A": "1"}) == {"A": "1"}


def test_a_preset_states_the_last_trial_of_the_whole_network() -> None:
    whole = make_record(created="2026-01-02T10:00:00+00:00", notices=["synthetic weights"])
    shallow = make_record(
        created="2026-01-02T11:00:00+00:00",
        notices=["the shallow network"],
        workload=whole.workload.model_copy(update={"depth": SHALLOW_DEPTH}),
    )
    context = measured_context([whole, shallow])
    assert (context["measured_at"], context["notices"]) == (whole.created, ["synthetic weights"])
