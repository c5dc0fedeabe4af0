"""Results print well, and figures and presets are read by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfkit
from perfkit.api.progress import LineProgress, SilentProgress, as_progress, run_interruptibly
from perfkit.api.reading import records_of
from perfkit.api.results import RunResult, html_table
from perfkit.api.studies.study_results import SweepResult, TuneResult
from perfkit.errors import UserError
from perfkit.records.roles import Role
from perfkit.records.schema import Outcome
from perfkit.records.store import Store
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import make_record

CRASHED = make_record(outcome=Outcome.CRASHED, reason="it ran <out> of luck")


def test_a_run_shows_its_outcome_and_files() -> None:
    result = RunResult(CRASHED, Path("out"))
    assert not result.ok
    assert repr(result).splitlines()[:2] == [
        "outcome crashed: it ran <out> of luck; configuration stock",
        "folder: out",
    ]


def test_html_escapes_what_comes_from_files() -> None:
    shown = RunResult(CRASHED, Path("out"))._repr_html_()
    assert "it ran &lt;out&gt; of luck" in shown
    assert "<out>" not in shown
    assert html_table(["<a>"], [["<b>"]]).count("&lt;") == 2


def test_paths_of_files_start_at_the_folder() -> None:
    record = make_record().model_copy(update={"artifacts": {"model": "seed-1/model.cif"}})
    assert RunResult(record, Path("out")).files == {"model": Path("out/seed-1/model.cif")}


def test_a_tuning_shows_recommendation_preset_and_page() -> None:
    records = (make_record(),)
    result = TuneResult(
        records=records,
        recommendation=recommend(records),
        extrapolations=(),
        folder=Path("out"),
        preset=Path("out/preset.toml"),
        unfinished=("not tried: cpus=1",),
        page=Path("out/report.html"),
    )
    assert repr(result).splitlines()[1:] == [
        "not tried: cpus=1",
        "preset: out/preset.toml",
        "page: out/report.html",
    ]
    assert "<td>stock</td>" in result._repr_html_()


@pytest.mark.parametrize(
    ("outcomes", "ok"),
    [
        ([Outcome.OK, Outcome.INTERRUPTED], True),
        ([Outcome.OK, Outcome.TIMEOUT], False),
    ],
)
def test_a_sweep_is_ok_unless_a_trial_failed(outcomes: list[Outcome], ok: bool) -> None:
    records = tuple(make_record(outcome=outcome) for outcome in outcomes)
    assert SweepResult(records, (), Path("out"), None).ok is ok


def test_progress_is_silent_or_one_line_per_trial() -> None:
    lines: list[str] = []
    assert isinstance(as_progress(None), SilentProgress)
    progress = as_progress(lines.append)
    with progress.study(trials=1) as study:
        study.trial_started(Role.SCREEN, "stock")
        study.stage("compile")
        study.trial_finished(CRASHED)
        study.say("next")
    assert [line.strip().split(",")[0] for line in lines] == [
        f"{CRASHED.role} stock: crashed",
        "next",
    ]


def test_a_progress_is_taken_as_it_is() -> None:
    progress = LineProgress(print)
    assert as_progress(progress) is progress


def test_an_interrupted_study_is_reported_and_survives() -> None:
    lines: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_interruptibly(interrupted, LineProgress(lines.append))
    assert lines == ["  interrupted: all finished measurements are kept, and the same call resumes"]
    assert not run_interruptibly(lambda: None, SilentProgress())


def test_figures_are_drawn_by_name_from_a_folder_a_result_or_records(tmp_path: Path) -> None:
    record = make_record()
    Store(tmp_path).append(record)
    for source in (tmp_path, str(tmp_path), RunResult(record, tmp_path), [record]):
        assert records_of(source) == [record]
        assert len(perfkit.figures["stages"](source).data) > 0
    assert "stages" in perfkit.figures
    assert "stagse" not in perfkit.figures
    with pytest.raises(UserError, match="unknown figure 'stagse'; the nearest is 'stages'"):
        perfkit.figures["stagse"]


def test_records_are_a_data_frame_with_one_row_per_trial(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(make_record(steady_s=[2.0, 4.0]))
    frame = perfkit.read_records(tmp_path)
    assert len(frame) == 1
    # The median of 2 s and 4 s.
    assert frame.loc[0, "steady_s"] == 3.0


def test_a_preset_gives_the_environment_that_applies_it(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    path.write_text("model = 'gencast'\n[knobs]\ncpus = 1\nxla_cpu_use_onednn = true\n")
    environment = perfkit.load_preset(path).environment()
    assert environment == {"XLA_FLAGS": "--xla_cpu_use_onednn=true", "PJRT_NPROC": "1"}
