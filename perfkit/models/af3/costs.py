"""The costs of AlphaFold 3: features and terms of its laws, its programs, published times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from perfkit.models.af3.jobs import (
    COLUMNS,
    INPUT_COLUMNS,
    MOST_SEEDS,
    SUFFIXES,
    job_in_row,
    jobs_in_file,
    run_options,
)
from perfkit.models.af3.knobs import ATOM_SLOTS, BUCKET, EXACT, NEEDED, settings_for
from perfkit.models.base import REST
from perfkit.models.costs import (
    CONSTANT,
    WARM_UP,
    CostModel,
    Feature,
    Features,
    Job,
    Options,
    PublishedTime,
    Reject,
    Sizes,
    Terms,
)
from perfkit.models.workload import FidelityAxis
from perfkit.records.stages import StageName

SOURCE = (
    "google-deepmind/alphafold3, docs/performance.md: compile-free seconds of one seed, by tokens"
)

_SECONDS = {
    "A100 80 GB": {1024: 62.0, 2048: 275.0, 3072: 703.0, 4096: 1434.0, 5120: 2547.0},
    "H100 80 GB": {1024: 34.0, 2048: 144.0, 3072: 367.0, 4096: 774.0, 5120: 1416.0},
}
"""Device -> tokens -> seconds of one seed."""


class AlphaFold3Costs(CostModel):
    """Costs of AlphaFold 3.

    Features are ``n``, the tokens after padding, and ``s``, the diffusion samples that are
    computed side by side.

    Parameters
    ----------
    axes
        Fidelity axes of the model.
    """

    features = (
        Feature("n", "the sizes measured"),
        Feature("s", "the samples measured", from_fidelity=True),
    )
    terms = Terms(
        time={
            # Linear layers of the single representation, of the pair, triangle products.
            "trunk_pass": (CONSTANT, "n", "n^2", "n^3"),
            # The samples share the contribution of the pair representation to attention. Linear
            # layers and attention are computed for each sample.
            "diffusion_step": (CONSTANT, "n^2", "s*n", "s*n^2"),
            # A short pairformer per sample.
            "confidence": (CONSTANT, "s*n", "s*n^2", "s*n^3"),
            REST: (CONSTANT, "n", "n^2"),
            StageName.PREPARE: (CONSTANT, "n"),
            StageName.COMPILE: (CONSTANT, "n"),
            WARM_UP: (CONSTANT, "n^2"),
            StageName.CHECK: (CONSTANT, "n", "s*n^2"),
        },
        other_time=(CONSTANT, "n", "n^2"),
        # Activations of tokens and of pairs.
        compiled_bytes=(CONSTANT, "n", "n^2", "s*n"),
        overhead_bytes=(CONSTANT, "n", "s"),
    )
    sizes = Sizes(
        fit="16,24,32,48,64,96",
        compiled="256,512,1024",
        calibration="48",
        feasibility=(
            "64", "128", "256", "384", "512", "768", "1024", "1536", "2048", "3072", "4096", "5120",
        ),
        axis="tokens",
        calibration_further="96",
        shallow="96,128,192,256,384,512",
    )  # fmt: skip
    contrast: ClassVar[Mapping[str, int]] = {"samples": 1}
    fit_settings: ClassVar[Mapping[str, str]] = {BUCKET.name: EXACT}
    input_options = ("input", "size")
    program_axes = ("recycles", "steps", "samples")
    padding_knob = BUCKET.name
    what_if_axes: ClassVar[Mapping[str, int]] = {"seeds": MOST_SEEDS}
    columns = COLUMNS
    input_columns = INPUT_COLUMNS
    size_column = "tokens"
    plan_columns: ClassVar[Mapping[str, str]] = {
        axis: axis for axis in ("recycles", "steps", "samples", "seeds")
    }
    suffixes = SUFFIXES
    published: ClassVar[Sequence[PublishedTime]] = tuple(
        PublishedTime(device, f"{tokens} tokens", seconds, SOURCE)
        for device, table in _SECONDS.items()
        for tokens, seconds in table.items()
    )

    def __init__(self, axes: Sequence[FidelityAxis]) -> None:
        # The production value of the seeds stands for those that an input names.
        self.production = {axis.name: axis.production for axis in axes} | {"seeds": 1}

    def features_at(
        self, size: int, options: Options, fidelity: Mapping[str, int], settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return tokens after padding, and samples.

        Raises
        ------
        UserError
            No bucket holds so many tokens.
        """
        return {
            "n": float(settings_for(settings, size).bucket),
            "s": float(fidelity["samples"]),
        }

    def resized(
        self, features: Features, size: float, settings: Mapping[str, str]
    ) -> dict[str, float]:
        """Return the features at ``size`` tokens after padding."""
        return {**features, "n": size}

    def shares_programs(self, settings: Mapping[str, str]) -> bool:
        """Return whether programs are independent of the number of atoms of an input."""
        return settings.get(ATOM_SLOTS.name) != NEEDED

    def calls(self, fidelity: Mapping[str, int]) -> int:
        """Return the number of seeds."""
        return fidelity["seeds"]

    def job(self, row: Mapping[str, str], folder: Path, origin: str) -> Job:
        """Return the job of a row with tokens, a fold input file or a sequence."""
        return job_in_row(row, folder, origin, self.production)

    def jobs_in_file(self, path: Path) -> tuple[list[Job], list[Reject]]:
        """Return the job of a fold input, or of each job of an AlphaFold Server file."""
        return jobs_in_file(path, self.production)

    def run_options(self, job: Job, stem: Path) -> Mapping[str, str]:
        """Return the job's options; an input that names too few seeds is written to a new file."""
        return run_options(job, stem)

    def published_s(self, job: Job, device: str) -> float | None:
        """Return the published seconds of all seeds of a job.

        Between two published sizes, the time follows the power law through both. An input below
        the smallest published size takes the time of that size, because no smaller time is known.
        The times are for the model's own recycles, steps and samples, also where a job asks for
        fewer.
        """
        seconds = _interpolated(_SECONDS[device], job.size)
        return None if seconds is None else seconds * job.fidelity["seeds"]


def _interpolated(table: Mapping[int, float], tokens: int) -> float | None:
    sizes = sorted(table)
    if tokens > sizes[-1]:
        return None
    if tokens <= sizes[0]:
        return table[sizes[0]]
    above = next(size for size in sizes if size >= tokens)
    below = sizes[sizes.index(above) - 1]
    power = math.log(table[above] / table[below]) / math.log(above / below)
    return float(table[below] * (tokens / below) ** power)
