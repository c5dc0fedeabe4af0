"""A trial under the Python of another environment than the running one."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cache import Entry, store_value
from perfkit.files import JsonData
from perfkit.knobs.configuration import STOCK, Catalogue, Configuration
from perfkit.knobs.installed_flags import FORMAT_VERSION
from perfkit.knobs.jaxlib import jaxlib_knob
from perfkit.paths import CACHE_VARIABLE
from perfkit.records.interpreter import Interpreter
from perfkit.records.schema import Outcome
from perfkit.trial.launcher import TrialProcess, run_trial
from perfkit.trial.messages import TrialSpec
from perfkit.trial.request import TrialRequest, reference_file
from perfkit.trial.shared_child import SharedChildren
from tests.support.three_numbers import three_numbers

VERSION = "7.1"
CATALOGUE = Catalogue((jaxlib_knob([VERSION], running="8.0"),))
UNDER_VERSION = CATALOGUE.configuration({"jaxlib": VERSION})


def _interpreter(folder: Path, script: str, name: str = "python") -> Interpreter:
    """An interpreter whose executable is a shell script."""
    python = folder / name
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    versions = (("jaxlib", VERSION), ("numpy", "1.0"))
    return Interpreter(python, "3.99.0", versions, (("jaxlib", f"{VERSION}+{name}"),))


def _request(
    folder: Path, interpreter: Interpreter, configuration: Configuration = UNDER_VERSION
) -> TrialRequest:
    return TrialRequest(three_numbers(), configuration, folder, interpreter=interpreter)


def test_the_version_is_a_setting_of_its_own_unless_it_runs_already() -> None:
    assert CATALOGUE.configuration({"jaxlib": "8.0"}) == STOCK
    assert UNDER_VERSION.label == "jaxlib=7.1"
    assert UNDER_VERSION.jaxlib == VERSION
    assert STOCK.jaxlib is None
    # It is for the launcher: neither XLA nor the model is given it.
    assert UNDER_VERSION.environment() == UNDER_VERSION.overrides() == {}


def test_the_trial_runs_under_that_python_and_its_record_has_its_versions(tmp_path: Path) -> None:
    interpreter = _interpreter(tmp_path, 'echo "arguments: $@"; exit 7')
    record = run_trial(TrialProcess(_request(tmp_path, interpreter)), 1)
    assert record.outcome is Outcome.CRASHED
    log = (tmp_path / record.artifacts["log"]).read_text()
    assert "arguments: -m perfkit.trial.worker " in log
    assert record.configuration.settings == {"jaxlib": VERSION}
    assert record.versions["jaxlib"] == VERSION
    assert record.versions["numpy"] == "1.0"
    assert record.versions["python"] == "3.99.0"
    assert "jax" not in record.versions


def test_a_configuration_never_runs_with_another_jaxlib_than_it_sets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"jaxlib 7\.1 is set, but None would run"):
        TrialRequest(three_numbers(), UNDER_VERSION, tmp_path)
    # One side of a comparison of two Pythons sets no version.
    assert _request(tmp_path, _interpreter(tmp_path, "exit 0"), STOCK).interpreter is not None


def test_a_flag_that_its_jaxlib_lacks_is_never_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    interpreter = _interpreter(tmp_path, "exit 0", "old-python")
    key: dict[str, JsonData] = {"format": FORMAT_VERSION, "jaxlib": f"{VERSION}+old-python"}
    store_value(Entry("xla-flags", "list of XLA flags", key), {"xla_cpu_use_onednn": "false"})
    settings = {"jaxlib": VERSION, "xla_cpu_use_onednn": "true", "xla_cpu_max_isa": "AVX2"}
    request = _request(tmp_path, interpreter, CATALOGUE.configuration(settings))
    trial = TrialProcess(request)
    record = run_trial(trial, 1)
    assert record.outcome is Outcome.REJECTED
    assert record.reason == "jaxlib 7.1 has no flag xla_cpu_max_isa"
    assert trial.pid is None


def test_references_of_two_pythons_are_two_files(tmp_path: Path) -> None:
    one = _interpreter(tmp_path, "exit 0", "one")
    two = _interpreter(tmp_path, "exit 0", "two")
    files = {reference_file(tmp_path, three_numbers(), each) for each in (None, one, two)}
    assert len(files) == 3


def test_programs_of_two_pythons_share_no_process(tmp_path: Path) -> None:
    specs = [
        TrialSpec({}, {}, (0,), python=str(_interpreter(tmp_path, "cat", name).python))
        for name in ("one", "two", "one")
    ]
    with SharedChildren() as shared:
        pids = []
        for number, spec in enumerate(specs):
            folder = tmp_path / f"trial-{number}"
            folder.mkdir()
            pids.append(shared.start(spec, folder, {"PATH": "/bin:/usr/bin"}, None, 0.1).pid)
    assert pids[0] == pids[2] != pids[1]
