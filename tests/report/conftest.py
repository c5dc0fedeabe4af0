"""A small study that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from perfkit.records.schema import Outcome, Record
from tests.support.records_factory import (
    make_agreement,
    make_record,
    make_samples,
    make_workload,
)

BEST = {"allocator": "jemalloc", "bucket": "exact"}


@pytest.fixture
def study() -> list[Record]:
    """Stock at 4 s, a configuration at 2 s, one that disagrees at 1 s, and one that was rejected.

    The first two were confirmed in six blocks, one of which has samples and three passes.
    """
    return [
        *(
            make_record(
                settings,
                role="confirm",
                identifier=f"{name}-{number}",
                block=f"confirm-{number}",
                steady_s=[seconds],
                peak_rss_bytes=peak_rss_bytes,
                created="2026-01-02T10:00:00+00:00",
            )
            for number in range(5)
            for settings, name, seconds, peak_rss_bytes in (
                ({}, "stock", 4.0, 3_000_000_000),
                (BEST, "best", 2.0, 3_500_000_000),
            )
        ),
        make_record(
            role="confirm",
            identifier="stock",
            steady_s=[4.0, 4.2, 3.8],
            samples=make_samples(30.0),
            created="2026-01-02T10:00:00+00:00",
        ),
        make_record(
            BEST,
            role="confirm",
            identifier="best",
            steady_s=[2.0, 2.1, 1.9],
            samples=make_samples(25.0),
            peak_rss_bytes=3_500_000_000,
            created="2026-01-02T10:01:00+00:00",
        ),
        make_record(
            {"xla_cpu_enable_fast_math": "true"},
            identifier="wrong",
            steady_s=[1.0, 1.0, 1.0],
            outcome=Outcome.DISAGREES,
            reason="positions (0.31)",
            agreement=make_agreement("none", 0.31, within=False),
            created="2026-01-02T10:02:00+00:00",
        ),
        make_record(
            {"xla_cpu_max_isa": "AVX10"},
            identifier="refused",
            stages=[],
            peak_rss_bytes=0,
            outcome=Outcome.REJECTED,
            reason="XLA does not know a flag",
            created="2026-01-02T10:03:00+00:00",
        ),
    ]


@pytest.fixture
def failures() -> Callable[[int], list[Record]]:
    """Make records of trials that all crashed while compiling."""

    def make(count: int) -> list[Record]:
        return [
            make_record(
                {"bucket": str(number)} if number else {},
                stages=[],
                peak_rss_bytes=0,
                outcome=Outcome.CRASHED,
                reason="died of SIGSEGV",
            )
            for number in range(count)
        ]

    return make


def shallow(
    settings: Mapping[str, str] | None, wall_s: float, *, role: str = "screen", block: str = "first"
) -> Record:
    """A record of the shallow network: three rounds in a shared process of 99 GB."""
    workload = make_workload()
    record = make_record(
        settings,
        role=role,
        block=block,
        identifier=f"shallow-{role}-{block}-{wall_s}",
        steady_s=[wall_s] * 3,
        cpu_share=0.2,
        samples=make_samples(5.0),
        peak_rss_bytes=99_000_000_000,
        created="2026-01-02T09:00:00+00:00",
        workload=workload.model_copy(
            update={"depth": "shallow", "digest": f"{workload.digest}-shallow"}
        ),
    )
    return record.model_copy(update={"shared_process": True})


@pytest.fixture
def screening() -> list[Record]:
    """Three configurations in turns with stock on the shallow network, one of them in two blocks.

    Stock takes 0.4 s; the others are 2, 1.6 and 0.8 times as fast.
    """
    return [
        shallow({}, 0.4, role="base"),
        shallow(BEST, 0.2),
        shallow({"bucket": "exact"}, 0.25),
        shallow({}, 0.4, role="base", block="second"),
        shallow({"bucket": "exact"}, 0.25, block="second"),
        shallow({"msa_rows": "needed"}, 0.5, block="second"),
    ]
