"""Predicts the peak memory of an AlphaFold 3 prediction on a CPU before compiling anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from perfkit.models.af3.knobs import ATTENTION_CHUNK, UPSTREAM, Settings, rows_together
from perfkit.models.shared_knobs import BFLOAT16, FLOAT32

PARAMETER_COUNT = 368_376_218
"""Number of parameters of the network, from upstream's shapes."""

OUTPUT_BYTES = 0.55e3
"""Bytes of the results per token pair: 0.56 GB at 1024 tokens."""

LIBRARY_SHARE = 1.1
"""Factor for buffers of the matrix-product libraries, which the compiler's analysis omits."""

NARROW_PRODUCTS = (0, 12)
"""First jaxlib whose products on a CPU take parameters in bfloat16 as they are."""

WIDENED_BYTES = 5.0
"""Temporary bytes of older jaxlibs per parameter in bfloat16. They make float32 copies before the
loops: at 256 tokens, 0.10.2 and 0.11.0 took 1.59 GB more than 0.12.0.1 for all parameters of
ColabFold's build, and 0.10.2 1.03 GB more for 161 million of DeepMind's (0.77 GB at 76 tokens)."""

type Points = Sequence[tuple[int, float]]
"""Tokens and bytes, in ascending order."""


@dataclass(frozen=True)
class MemoryLaw:
    """What the network of a package takes.

    Attributes
    ----------
    process_bytes
        Resident bytes of the interpreter, imported packages, the compiler and its generated code.
    narrow_parameters
        Number of parameters in bfloat16 where the network computes in bfloat16; all others, and all
        where it computes in float32, are in float32.
    network_bytes
        XLA's temporary bytes by tokens, without the shares below, for each value of the precision
        knob.
    row_bytes
        Additional temporary bytes per token and MSA row.
    attention_bytes
        Additional temporary bytes per token pair and row that attends together with upstream's.
    sample_bytes
        Additional temporary bytes per token for each diffusion sample after the first.
    template_bytes
        Additional temporary bytes per token pair where equal templates are embedded once.
    """

    process_bytes: float
    narrow_parameters: int
    network_bytes: Mapping[str, Points]
    row_bytes: float
    attention_bytes: float
    sample_bytes: float
    template_bytes: float = 0.0

    def parameter_bytes(self, precision: str) -> int:
        """Bytes of the parameters."""
        narrow = 0 if precision == FLOAT32 else self.narrow_parameters
        return 4 * PARAMETER_COUNT - 2 * narrow


# Compiler's memory analysis at 76, 128, 256, 512 and 1024 tokens (jaxlib 0.12.0.1, AVX2). The MSA
# took 0.49 GB at 256 tokens and 1024 rows; four further samples 34 MB; all rows of 256 tokens that
# attend together instead of 128 0.34 GB in bfloat16 and 0.23 GB in float32: four heads have logits
# of 4 bytes, in two to three arrays.
COLABFOLD = MemoryLaw(
    process_bytes=1.35e9,
    narrow_parameters=PARAMETER_COUNT,
    network_bytes={
        BFLOAT16: ((76, 0.13e9), (128, 0.29e9), (256, 0.67e9), (512, 1.58e9), (1024, 6.25e9)),
        FLOAT32: ((76, 0.21e9), (256, 0.83e9), (512, 2.70e9), (1024, 9.85e9)),
    },
    row_bytes=1.9e3,
    attention_bytes=41.0,
    sample_bytes=33e3,
)

# Source of 2026-08-19, jaxlib 0.12.0.1 with tokamax 0.0.17 on an EPYC with AVX-512 and bfloat16. At
# 256 tokens, the MSA took 0.22 GB, four further samples 0.52 GB, attention in all rows 0.20 GB, and
# equal templates 0.24 GB.
DEEPMIND = MemoryLaw(
    process_bytes=1.7e9,
    narrow_parameters=161_000_000,
    network_bytes={
        BFLOAT16: ((76, 0.20e9), (128, 0.35e9), (256, 0.85e9), (512, 2.72e9), (1024, 8.04e9)),
        FLOAT32: ((128, 0.60e9), (256, 1.44e9), (512, 3.06e9)),
    },
    row_bytes=0.85e3,
    attention_bytes=24.0,
    sample_bytes=0.51e6,
    template_bytes=3.6e3,
)

LAWS: Mapping[str, MemoryLaw] = MappingProxyType(
    {"alphafold3": DEEPMIND, "alphafold3-colabfold": COLABFOLD}
)
"""Distribution of the package -> its law."""


def peak_resident_bytes(
    settings: Settings, samples: int, law: MemoryLaw, jaxlib: Sequence[int]
) -> int:
    """Predict the peak resident set of a prediction.

    Parameters
    ----------
    settings
        Values of the knobs for the input.
    samples
        Diffusion samples that are computed together.
    law
        Law of the package, see :data:`LAWS`.
    jaxlib
        Version of jaxlib.

    Returns
    -------
    int
        Peak resident set in bytes.
    """
    tokens, precision = settings.bucket, settings.precision
    rows = settings.msa_rows or 1
    # A parameter that is a constant exists as a literal, in the module and in generated code.
    copies = 5 if settings.constants else 1
    temporary = (
        _interpolated(law.network_bytes[precision], tokens)
        + law.row_bytes * tokens * rows
        + law.sample_bytes * tokens * (samples - 1)
    )
    if precision != FLOAT32 and tuple(jaxlib) < NARROW_PRODUCTS:
        temporary += WIDENED_BYTES * law.narrow_parameters
    if settings.fewest_templates:
        temporary += law.template_bytes * tokens**2
    attending = [
        rows_together(ATTENTION_CHUNK.name, value, tokens)
        for value in (settings.attention_chunk, UPSTREAM)
    ]
    # Native attention holds no logits, so that all rows take no more than upstream's. How much less
    # they take is not yet measured: the estimate is an upper bound.
    if settings.attends_natively:
        attending[0] = attending[1]
    temporary += law.attention_bytes * tokens**2 * max(0, attending[0] - attending[1])
    return int(
        law.process_bytes
        + copies * law.parameter_bytes(precision)
        + LIBRARY_SHARE * temporary
        + OUTPUT_BYTES * tokens**2
    )


def _interpolated(points: Points, tokens: int) -> float:
    """Bytes at a size, by power laws through neighbouring points.

    Below the first point bytes are in proportion to tokens, beyond the last one to token pairs.
    """
    (fewest, least), (most, largest) = points[0], points[-1]
    if tokens <= fewest:
        return least * tokens / fewest
    if tokens >= most:
        return largest * (tokens / most) ** 2
    for (low, below), (high, above) in pairwise(points):
        if tokens <= high:
            exponent = math.log(above / below) / math.log(high / low)
            return float(below * (tokens / low) ** exponent)
    raise AssertionError("points are in ascending order")
