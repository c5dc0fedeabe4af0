"""The curves of a fit's page take the other features from the trial of the nearest size."""

from __future__ import annotations

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.law import Law
from perfkit.capacity.laws.observation import Observation
from perfkit.report.figures.capacity.laws import laws_info
from tests.support.planted import study


def _trial(g: float, m: float) -> Observation:
    """A trial on ``g`` grid nodes and ``m`` mesh nodes."""
    return Observation(
        record="trial",
        features={"g": g, "b": g, "m": m},
        seconds={"denoiser_call": 1.0},
        steady_s=1.0,
        counts={"denoiser_call": 1},
        compiled_bytes=1,
        output_bytes=1,
        peak_rss_bytes=1,
        cpus=2,
    )


def test_a_curve_takes_the_mesh_of_the_nearest_trial() -> None:
    one_per_node = Law(
        quantity="denoiser_call",
        terms=("m",),
        coefficients=(1.0,),
        spread=((1.0,),),
        freedom=1,
        fixed={},
        residuals=(0.0,),
    )
    fit = assemble(study()).model_copy(
        update={
            "model": "gencast",
            "settings": {},
            "cpus": 2,
            "least_size": 1000.0,
            "largest_size": 4000.0,
            "laws": {"denoiser_call": one_per_node},
        }
    )
    (curve,) = laws_info(fit, [_trial(1000.0, 162.0), _trial(4000.0, 642.0)]).curves
    # 2000 nodes are halfway between the two trials on a logarithmic scale.
    expected = [162.0 if size < 2000.0 else 642.0 for size in curve.sizes]
    assert list(curve.seconds) == expected
    assert set(expected) == {162.0, 642.0}
