"""What the shallow network gives to a fit, corrected where both networks ran."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from perfkit.capacity.laws.assemble import assemble
from perfkit.capacity.laws.fit import ModelFit
from perfkit.records.depths import SHALLOW_DEPTH
from perfkit.records.schema import Record
from perfkit.report.fit_tables import shallow_sentence
from tests.support.planted import (
    MEGABYTE,
    compiled_bytes,
    confidence_s,
    overhead_bytes,
    record,
    step_s,
    study,
    trunk_s,
)

OFF = {"trunk_pass": 1.02, "diffusion_step": 0.98}
"""Errors of the planted predictions from the shallow network; the other parts have none."""

WEIGHT = (1 / 0.005) / (1 / 0.005 + 1 / 0.0009)
"""Weight of one pair of processes, each off by 5 %, against a prior of 3 %."""


HIDDEN = 700 * MEGABYTE
"""Bytes beyond the compiler's count that the shallow network does not take."""

PROGRAM = 60 * MEGABYTE + 1
"""Bytes of the planted shallow programs by the compiler's count."""


def shallow(
    size: int,
    overhead: Callable[[int], int] = overhead_bytes,
    off: Mapping[str, float] = OFF,
) -> Record:
    """A trial of the shallow network, with a fraction of the full network's times and bytes.

    Parameters
    ----------
    size
        Number of tokens.
    overhead
        Bytes of the full network beyond the compiler's count.
    off
        Part to the error of its prediction, as a factor.
    """
    full = record(size)
    assert full.part_times_s is not None
    assert full.compilation is not None
    passes = PROGRAM + overhead(size) - HIDDEN
    return full.model_copy(
        update={
            "id": f"shallow-{size}",
            "workload": full.workload.model_copy(
                update={"depth": SHALLOW_DEPTH, "digest": f"shallow-{size}"}
            ),
            "part_times_s": {"pairformer": 0.5, "rest": 0.25},
            "full_part_times_s": {
                name: seconds * off.get(name, 1.0) for name, seconds in full.part_times_s.items()
            },
            "compilation": full.compilation.model_copy(update={"temporary_bytes": 1}),
            # Compiling takes more than the passes do.
            "stages": [
                stage.model_copy(
                    update={
                        "peak_rss_bytes": passes
                        if stage.name in ("first", "steady")
                        else 2 * passes
                    }
                )
                for stage in full.stages
            ],
            "peak_rss_bytes": 2 * passes,
        }
    )


@pytest.fixture(scope="module")
def fit() -> ModelFit:
    return assemble([*study(), *(shallow(size) for size in (96, 192, 256))])


def test_times_at_sizes_of_the_shallow_network_are_those_of_the_full_one() -> None:
    fit = assemble([*study(), *(shallow(size, off={}) for size in (96, 192, 256))])
    seconds = fit.seconds({"n": 256.0, "s": 5.0}, {})
    assert seconds["trunk_pass"] == pytest.approx(trunk_s(256), rel=1e-6)
    assert seconds["diffusion_step"] == pytest.approx(step_s(256, 5), rel=1e-6)
    assert seconds["confidence"] == pytest.approx(confidence_s(256, 5), rel=1e-6)
    assert fit.largest_size == 256.0
    assert fit.shallow_sizes == (192.0, 256.0)


def test_the_common_size_corrects_by_as_much_as_one_pair_of_processes_can_tell(
    fit: ModelFit,
) -> None:
    assert fit.shallow_corrections["trunk_pass"] == pytest.approx(1.02**-WEIGHT)
    assert fit.shallow_corrections["diffusion_step"] == pytest.approx(0.98**-WEIGHT)
    assert fit.shallow_corrections["confidence"] == pytest.approx(1.0)
    sentence = shallow_sentence(fit)
    assert sentence.startswith("Times at 192, 256 tokens are predicted from passes of the shallow")
    assert "trunk pass -0.3 %" in sentence


def test_the_compilers_count_is_that_of_the_full_network_alone(fit: ModelFit) -> None:
    assert fit.memory_measured_to == 96.0
    assert len(fit.compiled_exactly) == 9
    memory = fit.memory_range({"n": 256.0, "s": 5.0}, 1)
    assert memory.value == pytest.approx(compiled_bytes(256) + overhead_bytes(256), rel=1e-6)


def test_memory_beyond_the_compilers_count_follows_the_shallow_network() -> None:
    def steeper(size: int) -> int:
        return overhead_bytes(96) + 5 * MEGABYTE * (size - 96)

    fit = assemble([*study(), *(shallow(size, steeper) for size in (96, 192, 256))])
    assert fit.shallow_overhead_bytes == pytest.approx(HIDDEN)
    seen = fit.overhead.value({"n": 256.0, "s": 5.0})
    assert seen == pytest.approx(steeper(256), rel=0.1)
    assert overhead_bytes(256) < 0.85 * steeper(256)
    assert "that of the shallow network, and 700 MB more" in shallow_sentence(fit)


def test_without_a_common_size_nothing_is_corrected() -> None:
    fit = assemble([*study(), shallow(192), shallow(256)])
    assert fit.shallow_corrections == {}
    assert fit.shallow_overhead_bytes is None
    assert fit.overhead.freedom == len(study()) - 3
    assert shallow_sentence(fit).endswith("no size was measured at both depths.")
    assert shallow_sentence(assemble(study())) == ""
