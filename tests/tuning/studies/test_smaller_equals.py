"""A study confirms a configuration that is as fast as the fastest and needs less memory."""

from __future__ import annotations

from pathlib import Path

from benchmarks.recorded import RecordedConfiguration
from perfkit.knobs.configuration import Configuration
from perfkit.records.roles import Role
from tests.support.recorded_studies import best_settings, make_study
from tests.support.replay import WatchedRunner, recorded

LEAN = 0.6
"""Memory of the allocator, relative to the default one."""

CHANGES = ((("precision", "bfloat16"),), (("allocator", "glibc-keep"),))


def lean_allocator(
    role: Role, configuration: Configuration, entry: RecordedConfiguration
) -> RecordedConfiguration:
    """With the allocator, a configuration is as fast as without it, and smaller."""
    settings = configuration.as_dict()
    if settings.pop("allocator", None) is None:
        return entry
    other = recorded(settings)
    changed = {"settings": entry.settings, "peak_rss_bytes": round(LEAN * other.peak_rss_bytes)}
    return other.model_copy(update=changed)


def test_of_equals_the_smaller_one_is_confirmed_and_recommended(tmp_path: Path) -> None:
    study = make_study(tmp_path, WatchedRunner(lean_allocator), changes=CHANGES)
    study.run()
    assert best_settings(study) == {"allocator": "glibc-keep", "precision": "bfloat16"}
    rows = {row.label: row for row in study.recommendation().rows}
    # The search confirms what is fastest, and the study its equal: six blocks, seven for a second.
    assert rows["precision=bfloat16"].blocks >= 6
    assert rows["allocator=glibc-keep precision=bfloat16"].blocks >= 6


def test_without_time_to_confirm_it_the_fastest_stays(tmp_path: Path) -> None:
    ample = WatchedRunner(lean_allocator)
    make_study(tmp_path / "ample", ample, changes=CHANGES).run()
    needed_s = ample.now_s()
    short = WatchedRunner(lean_allocator)
    study = make_study(tmp_path / "short", short, needed_s * 0.75, changes=CHANGES)
    study.run()
    assert best_settings(study) == {"precision": "bfloat16"}
