"""The predicted memory is that of the installed package, and of no other one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest

from perfkit.errors import UserError
from perfkit.knobs.configuration import STOCK
from perfkit.models.af3 import model as af3_model
from perfkit.models.af3.knobs import settings_for
from perfkit.models.af3.memory import (
    COLABFOLD,
    DEEPMIND,
    LAWS,
    NARROW_PRODUCTS,
    MemoryLaw,
    peak_resident_bytes,
)
from perfkit.models.af3.model import AlphaFold3
from perfkit.models.workload import Workload
from perfkit.packages import Package
from perfkit.units import bytes_text

NEWEST, PINNED = (0, 12, 0, 1), (0, 10, 2)
EXACT = {"bucket": "exact"}
WORKLOAD = Workload("af3", "synthetic", 256, {"size": 256}, {"samples": 1, "seeds": 1}, "0123")


def predicted(
    law: MemoryLaw,
    tokens: int,
    overrides: Mapping[str, str] = EXACT,
    jaxlib: tuple[int, ...] = NEWEST,
    samples: int = 1,
) -> float:
    """Gigabytes."""
    return peak_resident_bytes(settings_for(overrides, tokens), samples, law, jaxlib) / 1e9


@pytest.mark.parametrize(
    ("tokens", "jaxlib", "measured"),
    [
        (76, NEWEST, 3.13),
        (128, NEWEST, 3.21),
        (256, NEWEST, 4.26),
        (512, NEWEST, 6.36),
        (76, PINNED, 3.69),
        (128, PINNED, 4.18),
        (256, PINNED, 5.17),
    ],
)
def test_peaks_of_deepminds_package(tokens: int, jaxlib: tuple[int, ...], measured: float) -> None:
    """Two CPUs of an EPYC, one sample, four diffusion steps, no recycling."""
    assert predicted(DEEPMIND, tokens, jaxlib=jaxlib) == pytest.approx(measured, rel=0.1)


def test_peaks_of_colabfolds_build_are_lower() -> None:
    for tokens in (76, 128, 256, 512, 1024):
        assert predicted(COLABFOLD, tokens) < predicted(DEEPMIND, tokens)
    # Measured on ubiquitin in its own size.
    assert predicted(COLABFOLD, 76) == pytest.approx(2.4, rel=0.1)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_memory_grows_with_the_input_without_a_jump(law: MemoryLaw, precision: str) -> None:
    peaks = [
        predicted(law, tokens, {**EXACT, "precision": precision}) for tokens in range(1, 3000, 7)
    ]
    for low, high in pairwise(peaks):
        assert low < high < 1.03 * low + 0.01


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_older_jaxlibs_widen_parameters_in_bfloat16_only(law: MemoryLaw) -> None:
    older = (0, 11, 0)
    assert older < NARROW_PRODUCTS
    copies = predicted(law, 256, jaxlib=older) - predicted(law, 256)
    assert 4e-9 * law.narrow_parameters < copies < 6e-9 * law.narrow_parameters
    single = {**EXACT, "precision": "float32"}
    assert predicted(law, 256, single, older) == predicted(law, 256, single)


@pytest.mark.parametrize(
    ("change", "samples", "more"),
    [
        ({"msa_rows": "1"}, 1, -0.22),
        ({}, 5, 0.52),
        ({"pair_attention_chunk": "whole"}, 1, 0.20),
        ({"templates": "needed"}, 1, 0.235),
    ],
)
def test_what_the_compiler_reports_for_deepminds_package_at_256_tokens(
    change: Mapping[str, str], samples: int, more: float
) -> None:
    found = predicted(DEEPMIND, 256, {**EXACT, **change}, samples=samples)
    assert found - predicted(DEEPMIND, 256) == pytest.approx(1.1 * more, rel=0.1)


def estimate(monkeypatch: pytest.MonkeyPatch, package: Package | None) -> int | None:
    monkeypatch.setattr(af3_model, "provider_of", lambda name: package)
    return AlphaFold3().memory_estimate_bytes(WORKLOAD, STOCK)


def test_each_distribution_has_a_law_and_others_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    estimates = [
        estimate(monkeypatch, Package("alphafold3", distribution)) for distribution in LAWS
    ]
    assert None not in estimates
    assert len(set(estimates)) == len(LAWS)
    for other in (None, Package("alphafold3"), Package("alphafold3", "alphafold3-fork", "1.0")):
        assert estimate(monkeypatch, other) is None


def test_nothing_is_refused_by_the_law_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("alphafold3")
    from perfkit.api.subject import make_subject

    subject = make_subject("af3", {"size": 256}, memory_limit="1GB")
    needed = bytes_text(AlphaFold3().memory_estimate_bytes(subject.workload, STOCK) or 0)
    with pytest.raises(UserError, match=f"needs about {needed} of memory in configuration"):
        subject.refuse_without_memory(STOCK)
    monkeypatch.setattr(af3_model, "provider_of", lambda name: Package(name, "alphafold3-fork"))
    subject.refuse_without_memory(STOCK)
