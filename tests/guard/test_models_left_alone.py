"""Which equations of the real models can need the guard, once their constants are known."""

from __future__ import annotations

from typing import Any

import jax
import pytest

from perfkit.guard.injection.guarded_jit import make_guarded_jit
from perfkit.guard.injection.ledger import Ledger
from perfkit.guard.transform import Traced, plan_traced
from perfkit.models import get_model


def prepared(name: str, options: dict[str, Any]) -> Any:
    model = get_model(name)
    return model.prepare(model.workload(options, {}), {})


def test_gencast_is_compiled_unchanged() -> None:
    """Its only equations with a domain make normal draws of uniform ones."""
    pytest.importorskip("trimesh", reason="GenCast needs the gencast extra")
    forecast, ledger = prepared("gencast", {"resolution": 10.0, "mesh": 1}), Ledger()
    texts = [
        jit(forecast.function).lower(*forecast.arguments).as_text()
        for jit in (make_guarded_jit(jax.jit, ledger, False), jax.jit)
    ]
    assert texts[0] == texts[1]
    assert ledger.as_dict()["left_alone"] == 1


def test_only_layer_norms_of_alphafold_3_can_need_a_lift() -> None:
    """They compute a variance as the mean of squares minus the square of the mean."""
    pytest.importorskip("alphafold3", reason="the real model")
    prediction = prepared("af3", {"size": 8})
    plan = plan_traced(Traced.of(prediction.function, prediction.arguments, {}), False)
    assert plan.sites
    assert {(site.primitive, site.origin.function) for site in plan.sites} == {
        ("rsqrt", "LayerNorm.__call__")
    }
