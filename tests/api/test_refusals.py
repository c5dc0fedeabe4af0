"""Functions refuse bad arguments with the sentences of the command line, and write nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import perfkit

type Call = Callable[[], object]


def _coarse(function: Callable[..., object], **arguments: object) -> Call:
    return lambda: function(model="gencast", resolution=10, mesh=1, **arguments)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (_coarse(perfkit.run, passes=-1), "--passes takes 0 or more, not -1"),
        (_coarse(perfkit.run, guard="lfit"), "unknown guard 'lfit'; the nearest is 'lift'"),
        (_coarse(perfkit.run, observe=["memry"]), "unknown observer 'memry'; the nearest is"),
        (_coarse(perfkit.run, steps=0), "--steps takes 1 or more, not 0"),
        (_coarse(perfkit.run, memory_limit=1000), "needs about"),
        (_coarse(perfkit.run, knobs={"alocator": "glibc"}), "the nearest is 'allocator'"),
        (_coarse(perfkit.profile, passes=0), "--passes takes 1 or more, not 0"),
        (_coarse(perfkit.tune, budget="soon"), "'soon' is"),
        (_coarse(perfkit.sweep, rounds=0), "--rounds takes 1 or more, not 0"),
        (_coarse(perfkit.sweep, cpus=1, knobs={"cpus": [1]}), "knob 'cpus' is given twice"),
        (
            _coarse(perfkit.sweep, cpus=[1], configurations="c.toml"),
            "--configurations replaces --knob and --cpus",
        ),
        (_coarse(perfkit.sweep, knobs={"cpus": "1,1"}), "the same value twice"),
        (_coarse(perfkit.sweep, knobs={"cpus": [1, 100_000]}), "100000"),
        (lambda: perfkit.run(model="af4"), "unknown model 'af4'; the nearest is 'af3'"),
        (lambda: perfkit.plan(), "a plan needs a fit"),
        (lambda: perfkit.plan(fit="none.json", here=True), "none.json cannot be read"),
        (lambda: perfkit.compare("a", "b", factor=0.5), "--factor takes 1 or more, not 0.5"),
        (lambda: perfkit.render_report("nowhere"), "there is no folder nowhere"),
        (lambda: perfkit.read_records("nowhere"), "there is no folder nowhere"),
        (lambda: perfkit.load_preset("none.toml"), "none.toml cannot be read"),
        (lambda: perfkit.figures["stages"]("nowhere"), "there is no folder nowhere"),
    ],
)
def test_bad_arguments_are_refused(
    call: Call, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5netcdf", reason="workloads are made with the gencast extra")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(perfkit.UserError) as refused:
        call()
    assert sentence in str(refused.value)
    assert list(tmp_path.iterdir()) == []
