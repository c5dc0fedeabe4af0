"""Versions of jaxlib in blocks of fresh processes, on replayed trials."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from perfkit.cache import Entry, store_value
from perfkit.environments.environment import Environment
from perfkit.files import JsonData
from perfkit.knobs.installed_flags import FORMAT_VERSION
from perfkit.paths import CACHE_VARIABLE
from perfkit.records.interpreter import Interpreter
from perfkit.records.store import Store
from perfkit.tuning.versions.jaxlib_blocks import (
    VersionsPlan,
    catalogue_of,
    measure_versions,
    possible_configurations,
)
from tests.support.replay import MODEL, RECORDED, Listener, RunnerOfVersions

RUNNING, OTHER = "8.0", "7.1"
BUILD = f"{OTHER}+jaxlib_blocks"
ENVIRONMENTS = (
    Environment(RUNNING),
    Environment(
        OTHER, Interpreter(Path("python"), "3.12", (("jaxlib", OTHER),), (("jaxlib", BUILD),))
    ),
)


def _plan(folder: Path, blocks: int = 2) -> VersionsPlan:
    return VersionsPlan(
        model=MODEL,
        workload=RECORDED,
        settings=({}, {"precision": "bfloat16"}),
        environments=ENVIRONMENTS,
        running=RUNNING,
        store=Store(folder),
        reference_jaxlib=OTHER,
        blocks=blocks,
        passes=1,
    )


def test_every_block_holds_each_configuration_under_each_version(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    measure_versions(plan, RunnerOfVersions(), Listener())
    labels = Counter(
        (record.role, record.configuration.label, len(record.steady)) for record in plan.records()
    )
    assert labels == {
        ("reference", "jaxlib=7.1", 0): 1,
        ("confirm", "stock", 1): 2,
        ("confirm", "jaxlib=7.1", 1): 2,
        ("confirm", "precision=bfloat16", 1): 2,
        ("confirm", "jaxlib=7.1 precision=bfloat16", 1): 2,
    }
    blocks = Counter(record.block for record in plan.records() if record.role == "confirm")
    assert list(blocks.values()) == [4, 4]


def test_a_second_call_measures_the_blocks_that_are_missing(tmp_path: Path) -> None:
    measure_versions(_plan(tmp_path), RunnerOfVersions(), Listener(), lambda: False)
    assert {record.role for record in _plan(tmp_path).records()} == {"reference"}
    measure_versions(_plan(tmp_path, 1), RunnerOfVersions(number=1), Listener())
    again = RunnerOfVersions(number=5)
    measure_versions(_plan(tmp_path, 2), again, Listener())
    assert Counter(role for role, _ in again.opened) == {"confirm": 4}
    idle = RunnerOfVersions(number=9)
    measure_versions(_plan(tmp_path, 2), idle, Listener())
    assert idle.opened == []


def test_a_configuration_whose_flag_a_version_lacks_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    key: dict[str, JsonData] = {"format": FORMAT_VERSION, "jaxlib": BUILD}
    store_value(Entry("xla-flags", "list of XLA flags", key), {"xla_cpu_max_isa": ""})
    catalogue = catalogue_of(MODEL, ENVIRONMENTS, RUNNING)
    known, lacking = (
        catalogue.configuration({"jaxlib": OTHER, name: value})
        for name, value in (("xla_cpu_max_isa", "AVX2"), ("xla_cpu_use_onednn", "true"))
    )
    interpreter = ENVIRONMENTS[1].interpreter
    assert interpreter is not None
    kept, sentences = possible_configurations([known, lacking], {OTHER: interpreter}, RUNNING)
    assert kept == [known]
    assert sentences == [
        "jaxlib=7.1 cpu_use_onednn=true is not measured: jaxlib 7.1 has no flag xla_cpu_use_onednn"
    ]
