"""The kernel on the page *Add a kernel* can be added as the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.kernels.build.availability import why_no_kernels
from perfkit.kernels.kernel import Kernel
from perfkit.paths import CACHE_VARIABLE

PAGE = Path(__file__).parents[2] / "docs" / "add-a-kernel.md"


def _blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the page, in order."""
    return re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_kernel_of_the_page_computes_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jax = pytest.importorskip("jax")
    reason = why_no_kernels()
    if reason is not None:
        pytest.skip(f"no native kernels here: {reason}")
    from perfkit.kernels.build.library import load, recipe_here

    (_, source), (_, python), (_, registration), _ = _blocks()
    kernel = eval(registration, {"Kernel": Kernel})
    (tmp_path / kernel.source).write_text(source)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert set(load(recipe_here((kernel,), tmp_path))) == {"perfkit.Gate"}
    names: dict[str, Any] = {}
    exec(compile(python, PAGE.name, "exec"), names)

    x, gate = np.random.default_rng(0).normal(size=(2, 5, 7001)).astype(np.float32)
    gate[0, :2], x[1, 0] = [np.inf, -np.inf], np.nan
    found = jax.jit(lambda x, gate: names["gated"](x, gate, 0.5))(x, gate)
    with np.errstate(over="ignore"):
        expected = 0.5 * x.astype(np.float64) / (1 + np.exp(-gate.astype(np.float64)))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_the_files_that_the_page_refers_to_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:perfkit|tests)/[\w/]+\.(?:py|cc))`", text))
    missing = {name for name in named if not (PAGE.parents[1] / name).exists()}
    # A reader writes these files.
    assert missing == {"perfkit/kernels/gate.py", "perfkit/kernels/source/gate.cc"}
