"""The pages of a plan and of a check in a real browser: names are whole, and nothing is cut."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perfkit.capacity.check.actual import Actual, Fate
from perfkit.capacity.check.check import check_jobs
from perfkit.capacity.check.planned import PlanFile
from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.queue.jobs import production
from perfkit.capacity.queue.machines import Inventory, Machine
from perfkit.capacity.queue.plan import Plan, make_plan
from perfkit.capacity.queue.plan_files import write_json
from perfkit.models.costs import Job, Search
from perfkit.report.check_page import check_page
from perfkit.report.plan_page import plan_page
from tests.support.planted import study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--virtual-time-budget=20000",
    # The page in the frame is a file too.
    "--allow-file-access-from-files",
    "--window-size=1500,1000",
)

NAMES = ("medium", "a protein with a long name", "<script>alert(1)</script>", "x" * 90)

MEASURE = """
<script>
const page = document.querySelector("iframe");
page.onload = () => setTimeout(() => {
  const found = page.contentDocument;
  const lines = (cell) => {
    const range = found.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
  };
  const right = found.documentElement.clientWidth;
  const outside = [...found.querySelectorAll("h1, h2, h3, p, dt, dd, .scroll")]
    .filter((each) => each.getBoundingClientRect().right > right + 1)
    .map((each) => each.tagName + " " + each.textContent.slice(0, 40));
  const tables = [...found.querySelectorAll("table")].map((table) => ({
    heading: table.closest(".scroll").previousElementSibling?.textContent ?? "",
    cut: table.scrollWidth - table.closest(".scroll").clientWidth,
    lines: Object.fromEntries(
      [...table.querySelectorAll("td:first-child")].map((cell) => [cell.textContent, lines(cell)])
    ),
  }));
  const data = {
    width: found.documentElement.scrollWidth, right, outside, tables,
    figures: found.querySelectorAll(".plotly-graph-div").length,
    drawn: found.querySelectorAll(".plotly-graph-div .main-svg").length,
    scripts: found.querySelectorAll("td script").length,
  };
  document.querySelector("pre").textContent = JSON.stringify(data);
}, 3000);
</script>
"""
"""Measures the page in a frame, which can be narrower than the smallest window of the browser."""


def _measured(folder: Path, page: str, width: int) -> dict[str, Any]:
    """Lay a page out at a width in pixels, and return what a script measures there."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    frame = f'<iframe src="page.html" width="{width}" height="900" frameborder="0"></iframe>'
    (folder / "frame.html").write_text(f"<!doctype html><pre></pre>{frame}{MEASURE}")
    done = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            (folder / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    shutil.rmtree(folder / "profile", ignore_errors=True)
    found: dict[str, Any] = json.loads(
        html.unescape(re.findall(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)[0])
    )
    return found


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Four jobs on two kinds of machines, one with a search, and one that is skipped."""
    search = Search(600.0, 1, None)
    jobs = [
        Job(name, "af3", 40 + number, production("af3"), {"size": "40"}, "queue.csv, row 2",
            search=search if number == 0 else None)
        for number, name in enumerate(NAMES)
    ]  # fmt: skip
    jobs.append(Job("huge", "af3", 4000, production("af3"), {"size": "4000"}, "queue.csv, row 9"))
    fit = assemble(study())
    node = Machine("a node with a long name", 2, 2, 16 * 10**9, speed=1.0, price_per_hour=3.6)
    return make_plan(jobs, Inventory((node,), "EUR"), [fit])


def _check_page(plan: Plan, folder: Path) -> str:
    write_json(folder / "plan.json", plan, 3600.0)
    planned = PlanFile.load(folder)
    actual = {
        "medium": Actual(Fate.FINISHED, 900.0, 2 * 10**9, "test"),
        NAMES[2]: Actual(Fate.FINISHED, 280.0, 10**9, "test"),
    }
    return check_page(check_jobs(planned, actual))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("kind", ["plan", "check"])
def test_nothing_is_cut_and_names_are_whole(
    plan: Plan, tmp_path: Path, kind: str, width: int
) -> None:
    page = plan_page(plan) if kind == "plan" else _check_page(plan, tmp_path)
    found = _measured(tmp_path, page, width)
    assert found["width"] <= found["right"]
    assert found["outside"] == []
    assert found["scripts"] == 0
    assert found["drawn"] >= found["figures"] > 0
    for table in found["tables"]:
        assert table["lines"].get("medium", 1) == 1
        if width == 1280:
            assert table["cut"] <= 0, table["heading"]
    with_jobs = [table for table in found["tables"] if "medium" in table["lines"]]
    assert len(with_jobs) >= (2 if kind == "plan" else 1)


def test_the_page_of_a_plan_lists_what_was_skipped_and_what_is_requested(plan: Plan) -> None:
    text = html.unescape(plan_page(plan).split("</head>")[-1])
    assert "4 jobs done after" in text
    assert "; 1 skipped" in text
    assert "fits on no machine: needs up to" in text
    assert "Requests of Slurm arrays (a job runs out of memory with 1.0 %" in text
    assert "<dd>0.2 h, 0.2 CPU-hours</dd>" in text
