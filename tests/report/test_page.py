"""The page of a study is complete, loads nothing, and can be built in any state of the study."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfkit.records.schema import Outcome, Record
from perfkit.records.upgrades import read_record
from perfkit.report.facts import warnings
from perfkit.report.page import Facts, PageContent, PageSection, anchors, render_page
from perfkit.report.study.page import study_page
from perfkit.stats.interval import Interval
from perfkit.tuning.choice.extrapolate import Check, Extrapolation, Part
from perfkit.tuning.choice.recommend import recommend
from tests.support.records_factory import MACHINE, make_record, make_workload

SYNTHETIC = "the weights are synthetic: the structure means nothing"
EXTRAPOLATIONS = [
    Extrapolation(
        "stock",
        (Part("trunk_pass", 60.0, 11),),
        {"recycles": 10},
        Interval(660.0, None, None, 1),
        None,
    ),
    Extrapolation(
        "bucket=exact",
        (Part("trunk_pass", 30.0, 11),),
        {"recycles": 10},
        Interval(330.0, 300.0, 363.0, 6),
        Check({"recycles": 3}, 110.0, 100.0),
    ),
]


class Reader(HTMLParser):
    """Collect the visible text, headings, loaded addresses, scripts and styles of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.headings: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag = self._open[-1] if self._open else ""
        if tag == "script":
            self.scripts.append(data)
        elif tag == "style":
            self.styles.append(data)
        elif data.strip():
            self.texts.append(data.strip())
            if tag in ("h2", "h3", "h4"):
                self.headings.append(data.strip())


def read(records: list[Record], preset: Path | None = None) -> Reader:
    return Reader(study_page(records, recommend(records), [], "A study", preset))


@pytest.fixture
def noted(study: list[Record]) -> list[Record]:
    return [record.model_copy(update={"notices": [SYNTHETIC]}) for record in study]


def test_the_recommendation_comes_first(noted: list[Record]) -> None:
    page = study_page(
        noted, recommend(noted), EXTRAPOLATIONS, "Ubiquitin", Path("my results/best.toml")
    )
    text = Reader(page).text
    wanted = [
        "Ubiquitin",
        SYNTHETIC,
        "2.00 times as fast as stock (95 % interval 2.00 to 2.00, 6 pairs of fresh processes)",
        "This machine (Test CPU, 2 CPUs, 16.0 GB) will do",
        "Stock and recommended",
        "One pass: recycles 1, diffusion steps 2. A production prediction: recycles 10, the sum",
        "With the recommended settings, a longer run was predicted at 1 min 50 s and took 1 min "
        "40 s: +10 %",
        "What to type",
        "perfkit exec --preset 'my results/best.toml' -- CMD",
        "run_alphafold.py",
        "sbatch --cpus-per-task=2",
        "allocator jemalloc bucket exact",
        "Speed-up over stock",
        "Noise of equal programs",
        "Workload",
        "jax 0.7.0",
    ]
    positions = [text.find(words) for words in wanted]
    assert -1 not in positions
    assert positions == sorted(positions)
    # Once above everything, and once in the section on trust.
    assert text.count(SYNTHETIC) == 2


def test_notices_of_the_shallow_network_stand_with_the_evidence_of_trust_only(
    noted: list[Record], screening: list[Record]
) -> None:
    only_screened = "the shallow network has fewer blocks"
    shallow = [one.model_copy(update={"notices": [only_screened]}) for one in screening]
    records = [*shallow, *noted]
    text = Reader(study_page(records, recommend(noted), [], "Ubiquitin", None)).text
    assert text.count(only_screened) == 1
    assert text.find("Stock and recommended") < text.find(only_screened)
    # A study that never got further states it above everything.
    text = Reader(study_page(shallow, None, [], "Ubiquitin", None)).text
    assert text.count(only_screened) == 2


def test_the_page_has_every_figure_with_data(noted: list[Record]) -> None:
    page = Reader(study_page(noted, recommend(noted), EXTRAPOLATIONS, "Ubiquitin", None))
    assert page.headings == [
        "Answer",
        "Stock and recommended",
        "Settings",
        "Effects",
        "Effect of each setting",
        "Importance of each knob",
        "Speed-up over stock",
        "Time against memory",
        "Peak memory",
        "All configurations",
        "Search",
        "Configurations looked at",
        "Where time goes",
        "Production time by part",
        "Stages of each trial",
        "Memory and CPU use over time",
        "Trust",
        "Steady time of all trials",
        "Notices",
        "Noise of equal programs (A/A)",
        "Evidence",
        "Recommended settings in full",
        "Workload",
        "Machine",
        "Versions",
    ]


def test_every_section_has_an_anchor_and_an_entry_in_the_navigation(noted: list[Record]) -> None:
    page = study_page(noted, recommend(noted), EXTRAPOLATIONS, "Ubiquitin", None)
    for name in ("answer", "effects", "where-time-goes", "trust", "evidence"):
        assert page.count(f'<a href="#{name}">') == 1
        assert page.count(f'id="{name}"') == 1


def test_anchors_are_unique_words() -> None:
    assert anchors(["What is possible, af3", "Effects", "effects!", "µ"]) == (
        "what-is-possible-af3",
        "effects",
        "effects-2",
        "section",
    )


def test_every_figure_has_a_description(noted: list[Record]) -> None:
    page = study_page(noted, recommend(noted), EXTRAPOLATIONS, "Ubiquitin", None)
    assert page.count('role="img"') == page.count("<figure>") == 10
    assert 'aria-label="Speed-up over stock: 2.00 times as fast as stock' in page


def test_the_page_loads_nothing_and_contains_plotly_once(noted: list[Record]) -> None:
    page = Reader(study_page(noted, recommend(noted), EXTRAPOLATIONS, "Ubiquitin", None))
    assert all(address.startswith("#") for address in page.loaded)
    assert not any("@import" in style or "url(" in style for style in page.styles)
    libraries = [script for script in page.scripts if len(script) > 1_000_000]
    assert len(libraries) == 1
    assert len(page.scripts) < 30


def test_texts_from_files_are_escaped() -> None:
    evil = "<script>alert(1)</script><img src=x>"
    record = make_record(
        {"knob": evil},
        reason=evil,
        outcome=Outcome.CRASHED,
        workload=make_workload(name=evil),
        machine={**MACHINE, "cpu": evil},
        versions={evil: evil},
        notices=[evil],
        warnings=[evil],
    )
    page = Reader(study_page([record], recommend([record]), [], evil, Path(evil)))
    assert all(address.startswith("#") for address in page.loaded)
    assert not any(script.startswith("alert") for script in page.scripts)
    assert page.text.count(evil) > 5


def test_a_study_of_failures_has_a_table_and_no_figures(
    failures: Callable[[int], list[Record]],
) -> None:
    page = read(failures(3))
    assert page.headings == [
        "Answer",
        "Effects",
        "All configurations",
        "Evidence",
        "Workload",
        "Machine",
        "Versions",
    ]
    # Once for each configuration, and once for each trial.
    assert page.text.count("crashed: died of SIGSEGV") == 6
    assert "Nothing can be recommended: stock ended crashed (died of SIGSEGV)." in page.text
    assert page.scripts == []


def test_records_of_an_old_schema_have_a_page(study: list[Record]) -> None:
    old = [record.model_dump() | {"schema_version": 1} for record in study]
    for data in old:
        del data["observations"]
    assert "2.00 times as fast as stock" in read([read_record(data) for data in old]).text


def test_unreadable_lines_are_counted_and_the_first_are_named() -> None:
    skipped = [f"records-a.jsonl, line {number}: not a whole record" for number in range(1, 9)]
    record = make_record()
    page = Reader(study_page([record], recommend([record]), [], "T", None, skipped))
    assert "8 lines could not be read and are left out" in page.text
    assert "line 5: not a whole record" in page.text
    assert "line 6: not a whole record" not in page.text
    assert "3 more could not be read" in page.text


def test_a_warning_with_a_control_character_is_shown() -> None:
    assert warnings([make_record(warnings=["a\0b 3"])]) == ("a\0b 3 (1 of 1 trial)",)


def test_a_single_trial_has_a_page() -> None:
    page = read([make_record()])
    assert "1 trial, 2026-01-02 10:00 UTC" in page.text
    assert "Nothing was compared with stock yet" in page.text
    assert "Steady time of all trials" in page.headings
    assert "Speed-up over stock" not in page.headings
    assert "perfkit exec" not in page.text


def test_an_interrupted_study_has_a_page(study: list[Record]) -> None:
    stopped = make_record(
        {"bucket": "128"},
        steady_s=[],
        outcome=Outcome.INTERRUPTED,
        reason="interrupted by the user",
        created="2026-01-02T10:09:00+00:00",
    )
    page = read([*study, stopped])
    assert "interrupted: interrupted by the user" in page.text
    assert "2.00 times as fast as stock" in page.text


def test_a_study_without_stock_has_no_recommendation() -> None:
    page = read([make_record({"bucket": "exact"})])
    assert "Stock was not measured, so nothing can be recommended." in page.text
    assert "Speed-up over stock" not in page.headings


def test_trials_of_parts_are_not_mixed_with_compared_trials(study: list[Record]) -> None:
    longer = make_workload(fidelity={"recycles": 1, "diffusion_steps": 40})
    check = make_record(role="check", workload=longer, steady_s=[90.0])
    page = Reader(study_page([*study, check], recommend(study), [], "A study", None))
    compared, records = page.text.split("All 15 records")
    assert "recycles 1, diffusion steps 2" in compared
    assert "diffusion steps 40" not in compared
    assert "diffusion steps 40" in records


def test_a_sweep_has_one_section_per_size() -> None:
    records = [
        make_record(settings, workload=make_workload(size=size), steady_s=[size / 32] * 2)
        for size in (64, 32)
        for settings in ({}, {"bucket": "exact"})
    ]
    page = Reader(study_page(records, None, [], "A sweep", None))
    sections = [heading for heading in page.headings if heading.startswith("ubiquitin, size")]
    # In the sections on effects, on where the time goes, and on trust.
    assert [section.split(" (")[0] for section in sections] == 3 * [
        "ubiquitin, size 32",
        "ubiquitin, size 64",
    ]
    assert page.headings.index(sections[1]) < page.headings.index("Time against size")
    assert "Stay with stock" not in page.text


def test_each_of_several_workloads_has_its_own_recommendation(study: list[Record]) -> None:
    larger = study[0].model_copy(update={"workload": make_workload(size=128), "block": "other"})
    page = Reader(study_page([*study, larger], None, [], "A sweep", None))
    assert page.text.count("allocator=jemalloc bucket=exact: 2.00 times as fast as stock") == 1


def test_warnings_that_differ_in_numbers_are_merged_into_a_range() -> None:
    records = [
        make_record(warnings=["other programs used 34% of the CPUs"]),
        make_record(warnings=["other programs used 9% of the CPUs", "no swap"]),
        make_record(),
    ]
    assert warnings(records) == (
        "other programs used 9 to 34% of the CPUs (2 of 3 trials)",
        "no swap (1 of 3 trials)",
    )


def test_mixed_machines_and_versions_are_warned_about() -> None:
    other = make_record(
        machine={**MACHINE, "digest": "000000000002"}, versions={"jax": "0.8.0", "python": "3.12.0"}
    )
    found = warnings([make_record(versions={"jax": "0.7.0", "python": "3.12.0"}), other])
    assert found == (
        "the trials ran on 2 different machines, so their times cannot be compared",
        "the trials ran with several versions of jax: 0.7.0, 0.8.0",
    )


def test_empty_parts_of_the_content_are_left_out() -> None:
    page = Reader(
        render_page(PageContent("T", facts=(Facts("Machine", ()),), sections=(PageSection("S"),)))
    )
    assert page.texts == ["T", "Skip to the content", "T"]


def test_a_study_without_a_finished_trial_has_a_page() -> None:
    page = Reader(study_page([], None, [], "A study", None, ["line 1: not a whole record"]))
    assert page.headings == ["Answer"]
    assert "No trial has finished yet" in page.text
    assert "1 line could not be read and is left out" in page.text
    assert page.scripts == []
