"""``--json`` prints the result on standard output, and nothing else there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from perfkit.cli.json_output import print_json
from perfkit.cli.main import COMMANDS, main
from perfkit.records.store import Store
from tests.cli.conftest import Perfkit
from tests.support.records_factory import make_record

REPORTS = Path(__file__).parents[2] / "reports"

WITHOUT_TABLE = {"cancel", "completion", "exec", "preset", "report"}
"""Commands that print no table."""


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - WITHOUT_TABLE))
def test_every_command_that_prints_a_table_offers_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--json" in capsys.readouterr().out


def test_numbers_that_json_lacks_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("a"), "values": (1.5, math.nan, math.inf)})
    assert json.loads(capsys.readouterr().out) == {"path": "a", "values": [1.5, None, None]}


def test_a_comparison_has_all_rows_in_json(perfkit: Perfkit, tmp_path: Path) -> None:
    for name, steady_s in (("old", 2.0), ("new", 4.0)):
        Store(tmp_path / name).append(make_record(steady_s=[steady_s] * 6))
    done = perfkit("compare", str(tmp_path / "old"), str(tmp_path / "new"), "--json")
    (comparison,) = json.loads(done.stdout)
    times = {row["name"]: (row["old"], row["new"]) for row in comparison["rows"]}
    assert (2.0, 4.0) in times.values()
    assert "measurement" in done.stderr


def test_a_plan_has_its_jobs_in_json(perfkit: Perfkit) -> None:
    fit = REPORTS / "plan-accuracy" / "af3" / "fit.json"
    done = perfkit("plan", "--fit", str(fit), "--here", "--speed", "1", "--size", "40,64", "--json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert sorted(job["size"] for job in planned["plan"]["jobs"]) == [40, 64]
    assert Path(planned["files"]["script"]).name == "submit.sh"
