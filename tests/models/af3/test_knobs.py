"""Rows of the pair representation that are computed together: upstream's choice, and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from perfkit.knobs.configuration import Catalogue
from perfkit.models.af3.knobs import (
    ATTENTION_CHUNK,
    KNOBS,
    TRANSITION_SHARD,
    UPSTREAM_ROWS,
    rows_together,
    settings_for,
)
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.af3.package import import_model, model_config
from perfkit.models.workload import Workload

pytestmark = pytest.mark.long

CHUNK, SHARD = ATTENTION_CHUNK.name, TRANSITION_SHARD.name


def _options(overrides: Mapping[str, str]) -> Any:
    given = Catalogue(KNOBS).configuration(overrides).overrides()
    config = model_config(
        recycles=0,
        steps=1,
        samples=1,
        msa_rows=1,
        bfloat16="all",
        global_options=settings_for(given, 64).upstream_rows,
    )
    return config.global_config


def test_the_table_of_rows_is_upstreams() -> None:
    pytest.importorskip("alphafold3", reason="upstream's configuration")
    config = import_model().Model.Config().global_config
    assert tuple(map(tuple, config.pair_attention_chunk_size)) == UPSTREAM_ROWS[CHUNK]
    assert tuple(map(tuple, config.pair_transition_shard_spec)) == UPSTREAM_ROWS[SHARD]


def test_the_knobs_reach_upstreams_configuration() -> None:
    pytest.importorskip("alphafold3", reason="upstream's configuration")
    assert _options({}) == _options({CHUNK: "upstream", SHARD: "upstream"})
    chosen = _options({CHUNK: "32", SHARD: "whole"})
    assert chosen.pair_attention_chunk_size == ((None, 32),)
    assert chosen.pair_transition_shard_spec == ((None, None),)


@pytest.mark.parametrize(
    ("knob", "value", "tokens", "rows"),
    [
        (CHUNK, "upstream", 76, 76),
        (CHUNK, "upstream", 1536, 128),
        (CHUNK, "upstream", 1537, 32),
        (CHUNK, "whole", 512, 512),
        (CHUNK, "32", 512, 32),
        (CHUNK, "32", 20, 20),
        (SHARD, "upstream", 2048, 2048),
        (SHARD, "upstream", 2560, 1024),
        (SHARD, "8", 2560, 8),
    ],
)
def test_as_many_rows_are_computed_together(knob: str, value: str, tokens: int, rows: int) -> None:
    assert rows_together(knob, value, tokens) == rows


@pytest.mark.parametrize(
    ("tokens", "knob", "values"),
    [
        (20, CHUNK, ["8"]),
        (76, CHUNK, ["32", "8"]),
        (256, CHUNK, ["32", "8", "whole"]),
        (2048, CHUNK, ["8", "whole"]),
        (8, SHARD, []),
        (76, SHARD, ["32", "8"]),
    ],
)
def test_values_that_change_the_rows_are_worth_trying(
    tokens: int, knob: str, values: list[str]
) -> None:
    workload = Workload("af3", "synthetic", tokens, {"size": tokens}, {"samples": 1}, "0123")
    (search,) = (each.search for each in KNOBS if each.name == knob)
    assert search is not None
    tried = [value for value in search.values if AlphaFold3().worth_trying(workload, knob, value)]
    assert tried == values


def test_more_rows_together_need_as_much_memory_as_the_compiler_reports() -> None:
    """At 256 tokens in bfloat16, XLA's temporary memory rises from 0.55 to 0.89 GB."""
    workload = Workload("af3", "synthetic", 256, {"size": 256}, {"samples": 1}, "0123")

    def estimate(overrides: Mapping[str, str]) -> int:
        configuration = Catalogue(KNOBS).configuration(overrides)
        estimated = AlphaFold3().memory_estimate_bytes(workload, configuration)
        assert estimated is not None
        return estimated

    assert estimate({CHUNK: "whole"}) - estimate({}) == pytest.approx(0.34e9, rel=0.15)
    assert estimate({CHUNK: "128"}) == estimate({}) == estimate({CHUNK: "32"})


@pytest.mark.parametrize("overrides", [{CHUNK: "8", SHARD: "8"}, {CHUNK: "7", SHARD: "5"}])
def test_fewer_rows_together_give_the_same_answer(
    reference: Mapping[str, Any], overrides: Mapping[str, str]
) -> None:
    found = _answer(overrides)
    assert found.keys() == reference.keys()
    for name, values in reference.items():
        distance = np.linalg.norm(found[name] - values) / np.linalg.norm(values)
        assert distance < 1e-5, name


@pytest.fixture(scope="module")
def reference() -> Mapping[str, Any]:
    """The answer with upstream's rows, 20 at once."""
    return _answer({})


def _answer(overrides: Mapping[str, str]) -> Mapping[str, Any]:
    pytest.importorskip("alphafold3", reason="the real model")
    from tests.support.quick_compilation import quick_jit

    model = AlphaFold3()
    workload = model.shallow(model.workload({"size": 20}, {"steps": 2}))
    assert workload is not None
    cut = {"bucket": "exact", "msa_rows": "needed", "atom_slots": "needed"}
    prepared = model.prepare(workload, {**cut, "precision": "float32", **overrides})
    return prepared.compared(prepared.drive(quick_jit(prepared.function)))
